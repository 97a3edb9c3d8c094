prereq_any("x","n/a/1")
