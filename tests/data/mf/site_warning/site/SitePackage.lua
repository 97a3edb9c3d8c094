local hook = require("Hook")
hook.register("load", function(t) LmodWarning("careful with ", t.modFullName) end)
