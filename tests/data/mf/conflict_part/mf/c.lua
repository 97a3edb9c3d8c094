conflict("x/1.2.lua","y")
