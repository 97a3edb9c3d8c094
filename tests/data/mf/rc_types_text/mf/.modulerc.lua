hide("a/2")
