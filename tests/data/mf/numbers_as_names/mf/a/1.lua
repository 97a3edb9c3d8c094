load("x/" .. 10)
