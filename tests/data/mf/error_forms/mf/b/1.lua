LmodError{msg="x"}
