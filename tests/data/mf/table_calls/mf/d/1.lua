setenv{"D","1",mode={"load"}}
