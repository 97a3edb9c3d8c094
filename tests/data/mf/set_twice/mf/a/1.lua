setenv("X","a")
setenv("LMOD_OWN","a")
