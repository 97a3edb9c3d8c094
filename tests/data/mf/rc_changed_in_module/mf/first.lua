setenv("LMOD_MODULERC",pathJoin(myFileName():match("(.*)/mf/"),"new.lua"))
