local top = myFileName():match("^(.*)/mf_c")
family("mpi")
prepend_path("MODULEPATH", top .. "/mf_m2")
setenv("MPI","2")
