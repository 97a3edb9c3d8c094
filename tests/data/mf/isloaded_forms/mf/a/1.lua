
for i, n in ipairs{"x","x/1.2","x/1","x/","y","y/1","a","a/1","zz"} do
  setenv("L" .. i, tostring(isloaded(n)))
  setenv("P" .. i, tostring(isPending(n)))
  setenv("V" .. i, tostring(isAvail(n) ~= nil and isAvail(n) ~= false))
end
