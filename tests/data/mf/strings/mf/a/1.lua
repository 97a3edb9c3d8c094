
local s = "  trim me "
setenv("T","[" .. s:trim() .. "]")
local n = 0
for p in ("a:b::c:"):split(":") do n = n + 1; setenv("S" .. n, "[" .. p .. "]") end
setenv("N", n)
setenv("ESC", ("a.b-c+d*[x](y)$^%?"):escape())
setenv("CI", ("ab-1"):caseIndependent())
local m = 0
for w in string.split("one two  three") do m = m + 1; setenv("W" .. m, "[" .. w .. "]") end
setenv("UP", ("x"):upper() .. string.rep("y",3) .. string.format("%05.1f|%s", 2.25, "z"))
setenv("GS", (("hello"):gsub("l","L")))
