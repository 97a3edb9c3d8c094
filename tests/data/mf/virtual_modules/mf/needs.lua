depends_on("a/1.0")
prereq("a")
setenv("NEEDS", tostring(isloaded("a/1.0")) .. tostring(isloaded("a/.base")))
