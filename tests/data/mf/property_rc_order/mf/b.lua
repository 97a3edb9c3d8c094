add_property("kind", "two")
