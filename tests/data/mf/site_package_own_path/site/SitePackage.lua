local here = os.getenv("LMOD_PACKAGE_PATH")
package.path = here .. "/lib/?.lua;" .. package.path
local names = require("names")
local again = require("names")
local inner = require("deep.inner")
package.preload["made"] = function(name) return { name = name } end
sandbox_registration{ answer = names.value .. tostring(names == again) .. inner .. require("made").name .. type(package.loaded.names) }
