-- What the library of an older Lua does otherwise. Runs before everything else and changes the library itself.
local kind, version = ...
_VERSION = version
if kind == "5.3" or kind == "5.4" then return nil end

local oldest = kind == "5.1" or kind == "luajit"
local find, gmatch, gsub, lower, match = string.find, string.gmatch, string.gsub, string.lower, string.match
local format, own_tostring, own_tonumber, own_concat = string.format, tostring, tonumber, table.concat

-- A number as these versions write it: they know floats only.
local function written(value)
    if type(value) == "number" then return format("%.14g", value) end
    return value
end

function tostring(...)
    local value = ...
    if type(value) == "number" then return written(value) end
    return own_tostring(...)
end

if oldest then
    function tonumber(value, base)
        if base == nil and type(value) == "string" then
            local sign, word = match(lower(value), "^%s*([+-]?)(%a+)%s*$")
            if word == "nan" then return 0 / 0 end
            if word == "inf" or word == "infinity" then return sign == "-" and -math.huge or math.huge end
            local digits = kind == "luajit" and match(value, "^%s*0[bB]([01]+)%s*$")
            if digits then return own_tonumber(digits, 2) + 0.0 end
        end
        return own_tonumber(value, base)
    end
end

-- A position or count: what is behind the point is cut off.
local function whole(value)
    local number = type(value) == "number" and value or own_tonumber(value)
    if number and number ~= math.floor(number) then
        return number < 0 and math.ceil(number) or math.floor(number)
    end
    return value
end

for name in gmatch("len lower reverse upper gmatch match find", "%a+") do
    local original = string[name]
    string[name] = function(text, ...) return original(written(text), ...) end
end
for name in gmatch("sub byte rep", "%a+") do
    local original = string[name]
    string[name] = function(text, first, second)
        if name == "rep" and kind == "5.1" then second = nil end
        if second == nil then
            if first == nil then return original(written(text)) end
            return original(written(text), whole(first))
        end
        return original(written(text), first ~= nil and whole(first) or first, whole(second))
    end
end

string.pack, string.unpack, string.packsize = nil, nil, nil
if kind == "5.1" then string.gfind = string.gmatch end

function string.gsub(text, pattern, replacement, ...)
    local by = replacement
    if type(by) == "number" then
        by = written(by)
    elseif type(by) == "function" then
        by = function(...) return written((replacement(...))) end
    elseif type(by) == "table" then
        by = function(key) return written(replacement[key]) end
    elseif type(by) == "string" and oldest and find(by, "%", 1, true) then
        by = gsub(by, "%%(.?)", function(letter)
            if find(letter, "^[%d%%]") then return nil end
            return letter
        end)
    end
    return gsub(written(text), pattern, by, ...)
end

local function argument(letter, value, at)
    if letter == "s" then
        if kind == "5.1" and type(value) ~= "string" and type(value) ~= "number" then
            local got = value == nil and "no value" or type(value)
            error("bad argument #" .. at .. " to 'format' (string expected, got " .. got .. ")", 3)
        end
        return tostring(value)
    elseif letter == "q" then
        return written(value)
    elseif find(letter, "[cdiouxX]") then
        local number = own_tonumber(value)
        return number and (math.tointeger(whole(number)) or number) or value
    end
    return value
end

function string.format(text, ...)
    local values, at = { ... }, 0
    local count = select("#", ...)
    text = gsub(written(text), "%%([-+ #0]*%d*%.?%d*)(.)", function(flags, letter)
        if letter == "%" then return nil end
        at = at + 1
        if at <= count or letter == "s" then values[at] = argument(letter, values[at], at + 1) end
        if letter == "u" then return "%" .. flags .. "d" end
        return nil
    end)
    return format(text, table.unpack(values, 1, math.max(count, 0)))
end

function table.concat(list, separator, ...)
    local copy
    for at, value in pairs(list) do
        if type(value) == "number" then
            if not copy then
                copy = {}
                for k, v in pairs(list) do copy[k] = v end
            end
            copy[at] = written(value)
        end
    end
    return own_concat(copy or list, written(separator), ...)
end

if oldest then
    local insert, remove = table.insert, table.remove
    function table.insert(list, ...)
        local at, value = ...
        if select("#", ...) == 2 and type(at) == "number" and (at > #list + 1 or at < 1) then
            list[at] = value
            return
        end
        return insert(list, ...)
    end
    function table.remove(list, at)
        if at ~= nil and (at < 1 or at > #list) then return end
        return remove(list, at)
    end
end

-- Stands between the sides of every concatenation, which is done from right to left: it takes the right side,
-- then joins the left one to it.
local held
local joint = {}
local function join(left, right)
    local a, b = type(left), type(right)
    if (a == "string" or a == "number") and (b == "string" or b == "number") then
        return written(left) .. written(right)
    elseif a == "table" or b == "table" or a == "userdata" or b == "userdata" then
        return left .. right
    end
    error("attempt to concatenate a " .. ((b ~= "string" and b ~= "number") and b or a) .. " value", 3)
end
return setmetatable(joint, {
    __concat = function(left, right)
        if rawequal(left, joint) then
            held = right
            return joint
        end
        local other = held
        held = nil
        return join(left, other)
    end,
})
