local function s(v) if type(v)=="table" then local t={} for i=1,#v do t[i]=tostring(v[i]) end return "{"..table.concat(t,",").."}" end return tostring(v) end
local r = load("x")
if mode() == "unload" then assert(type(r)=="table") end
setenv("R",s(r))
