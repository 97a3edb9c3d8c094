if not isloaded("b") then load("b") end
