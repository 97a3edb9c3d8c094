local n = 0
local function f() n = n + 1 return pcall(f) end
f()
setenv("A", n > 50 and "deep" or "flat")
