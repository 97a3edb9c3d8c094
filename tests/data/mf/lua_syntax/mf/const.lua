local x <const> = 1 setenv("A", x)
