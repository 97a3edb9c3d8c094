module_alias("one","two")
module_alias("two","x/1")
