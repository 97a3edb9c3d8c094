require("strict")
local class = setmetatable({}, { __index = function(_, key) return "key " .. key end })
local function count(...) return select("#", ...) end
local generator = coroutine.wrap(function() coroutine.yield("first") end)
local lines = 0
for line in io.lines(os.getenv("LMOD_PACKAGE_PATH") .. "/SitePackage.lua") do lines = lines + 1 end
local ok, reason = pcall(error, { code = 7 })
sandbox_registration{
   answers = { class.x, count(1, nil, 3), generator(), tostring(lines > 5), tostring(reason.code), rawget(class, "x") or "raw",
      math.sqrt(16) == 4.0 and "root" or "", (" trim "):trim(), os.date("%Y", 0), type(package.path), type(debug) },
}
for piece in ("a:b"):split(":") do sandbox_registration{ ["piece_" .. piece] = piece } end
