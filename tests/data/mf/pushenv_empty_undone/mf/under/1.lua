load("b","a") unload("a")
