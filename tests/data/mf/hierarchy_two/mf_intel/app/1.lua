setenv("APP","intel")
