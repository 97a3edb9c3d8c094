shared = "from a"
local own = "x"
