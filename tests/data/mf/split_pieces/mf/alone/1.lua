local pieces = string.split("a:b", ":")
for piece in pieces do setenv("S_" .. piece, "1") end
