local top = myFileName():match("^(.*)/mf")
family("compiler")
prepend_path("MODULEPATH", top .. "/mf_gcc2")
setenv("GCC","2")
