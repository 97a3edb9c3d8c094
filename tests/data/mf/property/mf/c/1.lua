add_property("state","nope")
