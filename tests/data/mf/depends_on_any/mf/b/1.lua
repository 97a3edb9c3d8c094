depends_on_any("nope","nada")
