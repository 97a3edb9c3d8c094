setenv(1,"x")
