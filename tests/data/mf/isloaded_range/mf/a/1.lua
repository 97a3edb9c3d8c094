local ok, r = pcall(isloaded, between("x","1.5","2.5"))
setenv("R", tostring(ok and r))
