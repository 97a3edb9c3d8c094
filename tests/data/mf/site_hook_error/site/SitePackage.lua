require("Hook").register("load", function(t)
   if t.modFullName == "a/1" then LmodError("not here: ", t.modFullName) end
   LmodMessage("loaded ", t.modFullName)
end)
