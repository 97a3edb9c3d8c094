conflict("b/2")
