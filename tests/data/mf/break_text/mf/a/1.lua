local top = myFileName():match("^(.*)/mf")
prepend_path("MODULEPATH", top .. "/mf2")
setenv("A","1")
LmodBreak("no")
