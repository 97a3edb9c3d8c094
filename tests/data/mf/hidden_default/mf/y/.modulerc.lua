hide_version("y/1")
module_version("y/1","default")
