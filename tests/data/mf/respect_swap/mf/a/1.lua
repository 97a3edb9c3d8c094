setenv("X","a",true)
setenv("Y","a",true)
