setenv("B","1") prepend_path("P","/b") setenv("MB",mode())
