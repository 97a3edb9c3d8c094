family("g")
load("b")
