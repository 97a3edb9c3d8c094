setenv("SEEN", os.getenv("KEPT") .. "," .. os.getenv("LIST"))
