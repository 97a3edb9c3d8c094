add_property("kind", "good")
setenv("A", "1")
