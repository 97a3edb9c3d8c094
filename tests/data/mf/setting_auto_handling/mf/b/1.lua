prereq_any("y", "x")
