missing_function("A")
