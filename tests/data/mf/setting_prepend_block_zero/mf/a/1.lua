prepend_path("P", "/one:/two:/three")
