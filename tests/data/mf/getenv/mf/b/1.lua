setenv("B", os.getenv("A") .. os.getenv("P"))
