family("one")
