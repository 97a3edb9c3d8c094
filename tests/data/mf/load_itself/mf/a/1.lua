setenv("A","1")
if not isloaded("a") then load("a") end
