require("Hook").register("unload", function(t) LmodError("stay: ", t.modFullName) end)
