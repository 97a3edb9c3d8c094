local top = myFileName():match("^(.*)/mf_c")
family("mpi")
prepend_path("MODULEPATH", top .. "/mf_m1")
setenv("MPI","1")
