if io.popen then
   local f = io.popen("printf '1 2\\nx\\ny\\nz'")
   setenv("N", table.concat({ f:read("*n", "*n") }, "-"))
   f:read("*l")
   setenv("L", table.concat({ f:read("*l", "*l") }, "-"))
   setenv("Z", tostring((f:read("*a"))))
   setenv("E", tostring((f:read("*l", "*l"))))
   f:close()
end
