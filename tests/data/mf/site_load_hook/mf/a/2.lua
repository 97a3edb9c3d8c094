setenv("SEEN_a_2", os.getenv("HOOKED") or "none")
