local f = loadfile(dirname(myFileName()) .. "../../common.lua")
f()
setenv("A","1")
