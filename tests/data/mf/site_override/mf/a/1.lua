setenv("A", "1") setenv("TRY", tostring(try_load)) setenv("ERR", type(error))
