setenv("X","second")
setenv("S","1")
