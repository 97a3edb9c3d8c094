for i,n in ipairs{"x/1","x/.1","x/2","x/3"} do setenv("A"..i,tostring(isAvail(n)):gsub("^/.*/mf/","").."") end
