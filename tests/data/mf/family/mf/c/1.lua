family("mpi")
prepend_path("X","/c")
