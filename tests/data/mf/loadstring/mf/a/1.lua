local made = loadstring("return setmetatable({}, { __index = { v = 3 } })")
setenv("A", made().v)
setenv("B", tostring(loadstring("return +")))
