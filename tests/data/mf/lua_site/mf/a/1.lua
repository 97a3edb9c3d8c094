setenv("RATIO", "r" .. ratio(10, 5))
setenv("MANY", many(1, 2, 3))
local x, y = spread()
setenv("SPREAD", x .. y .. getn .. ran)
