conflict("x/1")
