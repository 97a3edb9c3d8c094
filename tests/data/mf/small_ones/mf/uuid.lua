setenv("A", tostring(#UUIDString(0) > 30))
