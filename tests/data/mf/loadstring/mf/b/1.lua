setenv("A", loadstring("return known", "x", "t", { known = 4 })())
