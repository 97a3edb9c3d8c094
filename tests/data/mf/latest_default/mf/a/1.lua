load(latest("x"))
