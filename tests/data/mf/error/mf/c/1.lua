load("a")
pcall(function() load("b") end)
setenv("C","1")
