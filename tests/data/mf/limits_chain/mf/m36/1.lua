load("m37")
prepend_path("P", "/m36")
