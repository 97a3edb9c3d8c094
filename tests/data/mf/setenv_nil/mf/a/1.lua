setenv("A", os.getenv("NOWHERE"))
