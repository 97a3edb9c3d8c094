pcall(os.exit, "word")
setenv("X", "1")
