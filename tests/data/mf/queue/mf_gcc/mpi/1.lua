setenv("MPI","1")
