if io.popen then
   local f = io.popen("printf 'one\\ntwo\\n3 4\\n'")
   setenv("L1", f:read("*l")) setenv("L2", f:read("l")) setenv("N", tostring(f:read("*n"))) setenv("C", f:read(2)) setenv("REST", tostring(f:read("*a")):gsub("\n", "/"))
   setenv("END", tostring(f:read("*l")))
   local ok, how, code = f:close()
   setenv("CLOSED", tostring(ok) .. tostring(how) .. tostring(code))
end
