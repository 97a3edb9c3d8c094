prepend_path("P", "/one:/two:/three")
append_path("Q", "/one:/two:/three")
