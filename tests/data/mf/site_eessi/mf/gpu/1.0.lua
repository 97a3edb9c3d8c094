add_property("arch","gpu")
