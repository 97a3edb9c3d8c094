prepend_path("P", "/one:/two:/one")
