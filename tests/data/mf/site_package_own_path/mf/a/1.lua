setenv("A", answer)
