setenv("A", myShellName() .. myShellType())
