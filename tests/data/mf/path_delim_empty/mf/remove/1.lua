remove_path{"OLD", "x", delim=""}
