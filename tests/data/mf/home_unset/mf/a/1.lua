prepend_path("X","~/bin")
setenv("H", os.getenv("HOME"))
