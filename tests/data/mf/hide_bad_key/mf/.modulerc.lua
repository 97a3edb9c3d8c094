hide{ name = "a/1", user = "root" }
