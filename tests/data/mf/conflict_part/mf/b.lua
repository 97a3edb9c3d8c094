conflict("x/1.2")
