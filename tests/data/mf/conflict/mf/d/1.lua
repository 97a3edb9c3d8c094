conflict("c/2","x")
