local ok = pcall(function() LmodError("x") end)
setenv("D", tostring(ok))
