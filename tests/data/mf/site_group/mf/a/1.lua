local own = subprocess("id -gn"):gsub("\n", "") required_group(own) setenv("A","1")
