hide{name=5}
