module_alias("al","a/1")
module_alias("al2","a/old")
