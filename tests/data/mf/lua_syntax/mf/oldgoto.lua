local t = { x = 1 } setenv("A", t.x .. "") ; setenv("B", "1")
