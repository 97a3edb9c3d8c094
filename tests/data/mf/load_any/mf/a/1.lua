load_any("nope","x","y")
