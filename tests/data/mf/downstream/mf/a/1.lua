conflict("b")
