local f = io.open("/tmp/module_export_case_" .. tostring(os.time()), "w")
setenv("OPEN", tostring(f ~= nil))
if f then
   setenv("CHAIN", tostring(f:write("a", 1) == f))
   f:close()
end
setenv("MISSING", tostring(io.open("/nonexistent/file", "r") == nil))
