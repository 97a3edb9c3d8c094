prepend_path("NEW","/b")
