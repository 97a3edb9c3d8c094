pushenv("X",true)
