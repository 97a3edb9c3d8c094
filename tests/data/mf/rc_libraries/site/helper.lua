return { v = "1" }
