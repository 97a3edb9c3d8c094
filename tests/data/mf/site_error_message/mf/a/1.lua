LmodError("no")
