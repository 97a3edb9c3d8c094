setenv("B",os.getenv("A"))
load("c")
prepend_path("P","/b")
