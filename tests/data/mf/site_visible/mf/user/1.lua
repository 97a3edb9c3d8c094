load("app")
