append_path("MODULEPATH",pathJoin(myFileName():match("(.*)/mf/"),"deep"))
