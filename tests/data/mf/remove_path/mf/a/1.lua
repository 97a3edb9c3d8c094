
remove_path("A","/one")
prepend_path("B","/one")
remove_path("B","/one")
remove_path("C","/only")
remove_path("D","/none")
prepend_path("E","/x")
remove_path("E","/x")
remove_path{"F","/one",force=true}
prepend_path("G","/one")
remove_path{"G","/one",force=true}
remove_path("UNSET","/x")
remove_path("H","/a:/b")
