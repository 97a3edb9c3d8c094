-- What our own Lua code keeps for itself of Lua's libraries, so that nobody else can reach or change it. The real
-- globals lose what runs programs, opens files, loads bytecode or stops errors: code that got hold of them could
-- do no more than any modulefile.
local function copy(library)
    local new = {}
    for name, value in pairs(library) do new[name] = value end
    return new
end

local basic = _G
local own = { string = copy(string), table = copy(table), math = copy(math), coroutine = copy(coroutine),
              load = load, pcall = pcall, xpcall = xpcall,
              basic = basic, shared_string = string, open = io.open, lines = io.lines, io_type = io.type }

local kept = {}
for name in string.gmatch([[assert collectgarbage error getmetatable ipairs math next os pairs rawequal rawget rawlen
    rawset select setmetatable string table tonumber tostring type utf8 _VERSION]], "%S+") do
    kept[name] = true
end
os = { clock = os.clock, date = os.date, difftime = os.difftime, time = os.time }
own.os = copy(os)
for name in pairs(basic) do
    if not kept[name] then basic[name] = nil end
end
return own
