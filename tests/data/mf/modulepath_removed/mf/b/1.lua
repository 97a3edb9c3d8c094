local top = myFileName():match("^(.*)/mf")
remove_path("MODULEPATH", top .. "/mf2")
