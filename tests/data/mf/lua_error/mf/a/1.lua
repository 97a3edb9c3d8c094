setenv("A","1")
local x = nil
x.y = 1
