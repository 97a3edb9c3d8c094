pcall(os.exit, 1.5)
setenv("X", "1")
