setenv("A", tostring(loadfile(myFileName() .. ".none")))
