
prepend_path("A","x;y",";")
append_path("A","z",";")
prepend_path{"B","1,2",delim=","}
append_path{"B","3",delim=","}
prepend_path("C","a b"," ")
append_path("C","c"," ")
