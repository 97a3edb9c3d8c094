unsetenv("DONE")
setenv("SEEN", os.getenv("X") or "none")
pushenv("X","two")
