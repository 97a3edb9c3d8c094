local a, b = 1, 2
if a ~= b then setenv("A", a..b) end
local function f(...) local x, y = ... return x..y end
setenv("B", f("x", .5))
setenv("C", 1 ..2)
setenv("D", "a" .. -1 .. "b")
