prereq_any("x","y")
