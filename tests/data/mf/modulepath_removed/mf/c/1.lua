local top = myFileName():match("^(.*)/mf")
append_path("MODULEPATH", top .. "/mf2")
