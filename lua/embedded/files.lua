-- Files for modulefiles: reading is real, writing goes nowhere and is noted.
local host = ...
local own = host.own
local string, table = own.string, own.table
local files = {}
local oldest = host.lua == "5.1" or host.lua == "luajit"

local function note(function_name, text)
    host.shell_text(function_name, text)
end

-- A file that swallows what is written to it; `written` hears of it.
local function sink(written)
    local file = {}
    function file:write(...)
        local words = {}
        for _, word in ipairs({ ... }) do words[#words + 1] = tostring(word) end
        written(table.concat(words))
        return self
    end
    function file:close() return true end
    function file:flush() return self end
    function file:setvbuf() return true end
    function file:seek() return 0 end
    function file:read() return nil end
    function file:lines() return function() return nil end end
    return file
end

files.nothing = sink(function() end)
files.stdout = sink(function(text) note("print", text) end)
files.stderr = sink(function(text) host.lmod_message(text) end)

function files.write(...)
    return files.stdout:write(...)
end

function files.open(path, mode)
    if mode == nil then mode = "r" end
    if type(mode) == "number" then mode = tostring(mode) end
    if type(mode) ~= "string" then
        error("bad argument #2 to 'open' (string expected, got " .. type(mode) .. ")", 2)
    end
    if string.find(mode, "[wa+]") then
        note("io.open", path)
        return sink(function() end)
    end
    -- The oldest leave it to the system, which asks for the first letter only.
    local known = mode == "r" or mode == "rb" or (oldest and string.find(mode, "^r"))
    if not known then error("bad argument #2 to 'open' (invalid mode)", 2) end
    return own.open(path, "r")
end

function files.close(file)
    if file then return file:close() end
    return true
end

-- The output of a command as a file that is read.
function files.popen(command, mode)
    if mode ~= nil and string.find(mode, "w") then
        host.run("popen", command, false)
        return sink(function() end)
    end
    local output, success, code = host.run("popen", command, false)
    local file, position = {}, 1
    local function line(keep)
        if position > #output then return nil end
        local from, to = string.find(output, "\n", position, true)
        local text = string.sub(output, position, (from or #output + 1) - 1)
        position = (to or #output) + 1
        if keep and from then text = text .. "\n" end
        return text
    end
    local function read(format)
        if type(format) == "number" then
            if position > #output then return nil end
            local text = string.sub(output, position, position + format - 1)
            position = position + format
            return text
        end
        format = string.match(tostring(format or "l"), "^%*?(.?)")
        if format == "a" then
            local text = string.sub(output, position)
            position = #output + 1
            return text
        elseif format == "n" then
            local from, to = string.find(output, "^%s*[-+]?[%w.]+", position)
            if not from then return nil end
            position = to + 1
            return tonumber(string.sub(output, from, to))
        end
        return line(format == "L")
    end
    function file:read(...)
        local formats = table.pack(...)
        if formats.n == 0 then return line(false) end
        local values = {}
        for at = 1, formats.n do
            values[at] = read(formats[at])
            -- What follows a failure is not read.
            if values[at] == nil then return table.unpack(values, 1, at) end
        end
        return table.unpack(values, 1, formats.n)
    end
    function file:lines() return function() return line(false) end end
    function file:close()
        if oldest then return true end
        return success or nil, "exit", code
    end
    function file:flush() return self end
    function file:setvbuf() return true end
    function file:seek() return position - 1 end
    function file:write() return nil, "a file to read" end
    return file
end

return files
