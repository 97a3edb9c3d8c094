local hook = require("Hook")
hook.register("nonsense", function() end)
