setenv("A","1");;
