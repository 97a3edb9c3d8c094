add_property("place", "here")
