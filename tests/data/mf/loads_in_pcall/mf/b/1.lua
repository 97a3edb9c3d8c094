local ok = pcall(load, "nope")
setenv("OK", tostring(ok))
