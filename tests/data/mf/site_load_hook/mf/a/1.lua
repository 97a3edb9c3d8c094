setenv("SEEN_a_1", os.getenv("HOOKED") or "none")
