local hook = require("Hook")
hook.register("SiteName", function() return "Place" end)
