local n = 0
for piece in myFileName():gmatch("[^/]+") do n = n + 1 end
local name = ("x/"):rep(n) .. "y"
setenv("FOUR", type(hierarchyA(name, 1)[1]))
