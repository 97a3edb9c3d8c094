load("m36")
prepend_path("P", "/m35")
