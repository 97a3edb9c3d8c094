conflict("x/2","x/3")
