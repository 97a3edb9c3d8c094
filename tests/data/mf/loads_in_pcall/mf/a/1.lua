local ok = pcall(load, "x")
setenv("OK", tostring(ok))
