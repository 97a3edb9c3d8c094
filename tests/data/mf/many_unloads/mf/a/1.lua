for i = 1, 300 do load("b") unload("b") end setenv("A","1")
