try_load("part") setenv("seen", os.getenv("foo") or "none")
