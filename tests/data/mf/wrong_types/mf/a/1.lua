setenv("X",{})
