try_load(latest("x"))
