add_property("nope","x")
