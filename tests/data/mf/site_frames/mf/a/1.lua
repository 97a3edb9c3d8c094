add_property("lmod", "sticky")
setenv("OF_A", tostring(version_of("a")) .. tostring(version_of("none")))
setenv("WOULD", would_be("b"))
