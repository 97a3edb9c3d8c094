LmodSystemError("x")
