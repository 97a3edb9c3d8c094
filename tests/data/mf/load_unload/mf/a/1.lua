load("b")
always_load("c")
try_load("d")
