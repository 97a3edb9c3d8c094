local hook = require("Hook")
local function visible(modT)
   if modT.fullName:find("2023b") or modT.sn == "gone" or modT.fullName == "marked/1" then modT.isVisible = false end
   if modT.fn:find("seen") and isloaded("seen") then modT.isVisible = false end
   if modT.fullName == "app/2" and isloaded("seen") then modT.isVisible = false end
end
hook.register("isVisibleHook", visible)
