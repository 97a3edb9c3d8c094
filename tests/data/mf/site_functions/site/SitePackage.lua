require("strict")
require("sandbox")
local prefix = "SITE"
local function named(name, value)
   setenv(prefix .. "_" .. name, value)
end
function app_root(package)
   return pathJoin("/apps", package, myModuleVersion())
end
sandbox_registration{ named = named, ["approot"] = app_root, tonumber = function() return 42 end }
sandbox_registration{ constant = { deep = "value" } }
