require("strict")
local here = os.getenv("LMOD_PACKAGE_PATH")
dofile(pathJoin(here, "one.lua"))
local two = assert(loadfile(here .. "/two.lua"))
local result = two("argument")
local three = load("return 1 + 2", "three", "t")
sandbox_registration{ one = from_one, two = result, three = three(), missing = loadfile(here .. "/none.lua") == nil }
local ok, text = pcall(require, "no_such_library")
sandbox_registration{ failed = tostring(ok) .. tostring(text:find("no_such_library") ~= nil) }
