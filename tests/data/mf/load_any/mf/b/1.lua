load_any("nope","nada")
