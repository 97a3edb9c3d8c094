named("A", "one")
prepend_path("PATH", pathJoin(approot("a"), "bin"))
setenv("DEEP", constant.deep)
setenv("FORTY", tostring(tonumber("7")))
