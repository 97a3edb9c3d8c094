if not ( isloaded("b/1") ) then
    load("b/1")
end
if not isloaded("c") then load("c") end
setenv("A","1")
