module_alias("/a","x/1")
module_alias("/b","/2")
