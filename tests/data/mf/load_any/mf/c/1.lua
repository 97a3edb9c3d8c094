load_any("y","x")
