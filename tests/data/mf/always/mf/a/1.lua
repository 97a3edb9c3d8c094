always_load("b")
always_unload("z")
