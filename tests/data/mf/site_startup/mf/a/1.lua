setenv("SEEN", os.getenv("SECRET") or "no")
