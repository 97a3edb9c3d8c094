prepend_path("P", ":::")
