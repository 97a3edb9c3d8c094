setenv("APP","mm1")
