module_version("/1","a")
module_version("/a","b")
module_version("x/b","c","default")
