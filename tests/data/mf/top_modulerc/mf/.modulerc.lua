module_version("a/1","default")
module_version("a/1","old")
