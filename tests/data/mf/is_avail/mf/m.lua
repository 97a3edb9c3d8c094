for i,n in ipairs{"x","x/1","x/3","y","c/y","c","x/","none"} do
 local a = isAvail(n)
 setenv("A"..i, type(a)..tostring(a):gsub("^/.*/mf/",""))
end
