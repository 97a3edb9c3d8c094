setenv{"F"}
