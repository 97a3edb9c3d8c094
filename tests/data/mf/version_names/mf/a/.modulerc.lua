module_version("a/2","new")
module_version("a/1","old")
