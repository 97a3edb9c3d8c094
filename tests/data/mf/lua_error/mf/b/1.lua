local ok, e = pcall(function() local x = nil; return x.y end)
setenv("B", tostring(ok))
