setenv("A", "1")
-- x
prepend_path("P",
 "/a")


