if mode() == "unload" then setenv("SEEN","x") end
if mode() == "load" then setenv("LOADED","1") end
