prereq_any("nope","x")
