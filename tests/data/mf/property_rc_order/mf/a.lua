add_property("kind", "one")
