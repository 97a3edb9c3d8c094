pcall(prepend_path, "P", "a", "")
setenv("AFTER", "1")
