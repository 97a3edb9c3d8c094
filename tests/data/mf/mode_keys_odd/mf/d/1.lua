setenv{"A", "1", mode="load"}
