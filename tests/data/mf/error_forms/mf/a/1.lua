LmodError("a ","b\n","c")
