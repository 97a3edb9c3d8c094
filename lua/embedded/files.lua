-- Files for modulefiles: reading is real, writing goes nowhere and is noted.
local host = ...
local files = {}

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

files.stdout = sink(function(text) note("print", text) end)
files.stderr = sink(function(text) host.lmod_message(text) end)

function files.write(...)
    return files.stdout:write(...)
end

function files.open(path, mode)
    mode = mode or "r"
    if mode:find("[wa+]") then
        note("io.open", path)
        return sink(function() end)
    end
    return io.open(path, mode)
end

function files.close(file)
    if file then return file:close() end
    return true
end

-- The output of a command as a file that is read.
function files.popen(command, mode)
    if mode and mode:find("w") then
        host.run("popen", command, false)
        return sink(function() end)
    end
    local output, success, code = host.run("popen", command, false)
    local file, position = {}, 1
    local function line(keep)
        if position > #output then return nil end
        local from, to = output:find("\n", position, true)
        local text = output:sub(position, (from or #output + 1) - 1)
        position = (to or #output) + 1
        if keep and from then text = text .. "\n" end
        return text
    end
    local function read(format)
        if type(format) == "number" then
            if position > #output then return nil end
            local text = output:sub(position, position + format - 1)
            position = position + format
            return text
        end
        format = tostring(format or "l"):gsub("^%*", ""):sub(1, 1)
        if format == "a" then
            local text = output:sub(position)
            position = #output + 1
            return text
        elseif format == "n" then
            local from, to = output:find("^%s*[-+]?[%w.]+", position)
            if not from then return nil end
            position = to + 1
            return tonumber(output:sub(from, to))
        end
        return line(format == "L")
    end
    function file:read(format) return read(format) end
    function file:lines() return function() return line(false) end end
    function file:close()
        if host.lua == "5.1" or host.lua == "luajit" then return true end
        return success or nil, "exit", code
    end
    function file:flush() return self end
    function file:setvbuf() return true end
    function file:seek() return position - 1 end
    function file:write() return nil, "a file to read" end
    return file
end

return files
