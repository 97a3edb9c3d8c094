local top = myFileName():match("^(.*)/mf_c")
family("mpi")
prepend_path("MODULEPATH", top .. "/mf_mm1")
setenv("MPI","mm1")
