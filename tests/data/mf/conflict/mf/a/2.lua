conflict("a")
conflict("b")
