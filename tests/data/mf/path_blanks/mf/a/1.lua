prepend_path("P", " /a ")
append_path("P", "/b : /c")
append_path("PATH", " /d ")
