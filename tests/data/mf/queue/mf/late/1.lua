load("mpi")
load("gcc")
