try_load(latest("none"))
