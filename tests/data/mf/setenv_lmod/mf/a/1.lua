setenv("MY_LMOD_X","1")
setenv("_LMFILES_X","1")
setenv("LOADEDMODULES_X","1")
