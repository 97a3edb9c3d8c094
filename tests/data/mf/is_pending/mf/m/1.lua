for i,n in ipairs{"m","m/1","x","m/","m/1.0"} do setenv("P"..i, tostring(isPending(n))) end
load("x")
setenv("Q",tostring(isPending("x")))
