return "of one"
