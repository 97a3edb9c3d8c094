local mine = require("helper")
module_version("a/" .. mine.v, "default")
if type(myConfig("username")) == "string" then module_version("b/1", "v") end
