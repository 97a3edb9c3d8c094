setenv("SEEN_b_1", os.getenv("HOOKED") or "none")
load("a/1")
