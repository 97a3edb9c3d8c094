setenv("SEEN", tostring(os.getenv("X")))
