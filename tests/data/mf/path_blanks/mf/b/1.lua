prepend_path(" P", "/x")
