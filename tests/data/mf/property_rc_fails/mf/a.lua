add_property("state", "testing")
