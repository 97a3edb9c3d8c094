prepend_path("X","/a")
append_path("X","/a")
append_path{"X","/b",nodups=true}
