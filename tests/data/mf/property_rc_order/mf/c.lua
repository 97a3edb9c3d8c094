add_property("kind", "three")
