conflict("d/2")
