require("strict")
local unpack = (_VERSION == "Lua 5.1") and unpack or table.unpack
local function ratio(a, b) return a / b end
local function many(...) return select("#", ...) .. "" end
sandbox_registration{ ratio = ratio, many = many, spread = function() return unpack({ "x", "y" }) end,
   getn = table.getn({ 1, 2 }), ran = loadstring("return 8/2")() }
require("Hook").register("load", function(t) setenv("LOADED", 4/2 .. t.modFullName) end)
