if convertToCanonical(LmodVersion()) >= convertToCanonical("8.7.50") then
require("Hook").register("isForbiddenHook", function(modT)
   if modT.sn == "a" then modT.forbiddenState = "normal" end
   if modT.fullName == "c/1" then modT.forbiddenState = "forbid" end
end)
end
