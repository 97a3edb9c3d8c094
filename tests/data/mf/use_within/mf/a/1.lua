local top = myFileName():match("^(.*)/mf")
prepend_path("MODULEPATH", top .. "/mf_more")
load("inner")
