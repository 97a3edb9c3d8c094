setenv("TOOL","1")
