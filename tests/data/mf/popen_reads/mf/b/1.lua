if io.popen then
   local n = 0
   local f = io.popen("seq 3; exit 2")
   for line in f:lines() do n = n + tonumber(line) end
   setenv("SUM", n)
   setenv("CLOSED", tostring(f:close()))
end
