setenv("A", tostring(isDir("/opt/caf\xe9")) .. tostring(isFile("/opt/caf\xe9")))
setenv("B", tostring(lfs.attributes("/opt/caf\xe9") == nil) .. tostring(io.open("/opt/caf\xe9")))
