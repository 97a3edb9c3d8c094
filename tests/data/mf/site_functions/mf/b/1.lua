load("a")
named("B", type(app_root))
unload("a")
