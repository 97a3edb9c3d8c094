load(" x ","\ty/1\n")
if isloaded(" x/1 ") then setenv("A","1") end
try_load(" z/1")
