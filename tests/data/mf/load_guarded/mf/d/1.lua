if mode() == "unload" or not isloaded("b/1") then load("b/1") end
load("a")
