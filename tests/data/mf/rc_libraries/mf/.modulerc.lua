local mine = require("helper")
module_version("a/" .. mine.v, "default")
if myConfig("username") ~= "nobody at all" then module_version("b/1", "v") end
