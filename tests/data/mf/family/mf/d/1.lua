load("b")
family("other")
