prepend_path("MODULEPATH",pathJoin(myFileName():match("(.*)/mf/"),"more"))
