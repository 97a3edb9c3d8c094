-- The globals of modulefiles: what Lmod gives them, and nothing else.
local host, files = ...
local own = host.own
local math, os, string, table = own.math, own.os, own.string, own.table
local since = host.since
local sandbox = {}

local function nothing() end

---- Lua's own

for _, name in ipairs({ "assert", "ipairs", "next", "pairs", "tonumber", "tostring", "type", "_VERSION" }) do
    sandbox[name] = own.basic[name]
end
sandbox.unpack = table.unpack
local oldest = host.lua == "5.1" or host.lua == "luajit"

-- What must end the evaluation goes through every pcall.
local protect = own.pcall
function sandbox.pcall(called, ...)
    return host.after_pcall(protect(called, ...))
end

function sandbox.print(...)
    local words = {}
    for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
    host.shell_text("print", table.concat(words, "\t"))
end

local function subset(library, names)
    local chosen = {}
    for name in string.gmatch(names, "%S+") do chosen[name] = library[name] end
    return chosen
end

sandbox.string = subset(string, "byte char find format gmatch gsub len lower match rep reverse sub upper split escape")
sandbox.table = subset(table, "insert remove sort concat unpack")
if oldest then sandbox.table.unpack = nil end
sandbox.table.sqrt, sandbox.table.tan = math.sqrt, math.tan
sandbox.math = subset(math, "floor ceil min max")
sandbox.os = subset(os, "clock difftime time date")
sandbox.os.getenv = host.getenv
sandbox.os.exit = host.exit
function sandbox.os.execute(command)
    if command == nil then return not oldest or 1 end
    local _, success, code = host.run("os.execute", command, false)
    -- the status as the system call gives it
    if oldest then return code * 256 end
    return success or nil, "exit", code
end
sandbox.io = subset(files, "stderr stdout open close write")

---- Modules

-- Pieces of the path above the module, each as many directories as `name` has. Where the path is
-- too short Lua decides what becomes of a list that lacks its first elements, as it does in Lmod.
function host.hierarchyA(name, levels)
    local path = string.gsub(host.myFileName(), "%.lua$", "")
    local pieces = {}
    if levels < 1 then return pieces end
    name = host.path_regularize((string.gsub(name, "%.lua$", "")))
    local from, to = string.find(path, name, 1, true)
    if to == #path then path = string.sub(path, 1, from - 1) end
    local directories = {}
    for directory in string.split(host.path_regularize(path), "/") do directories[#directories + 1] = directory end
    local _, slashes = string.gsub(name, "/", "")
    local size, last = slashes + 1, #directories
    for level = 1, levels do
        local piece = {}
        for at = 1, size do piece[at] = directories[last - size + at] end
        pieces[level] = table.concat(piece, "/")
        last = last - size
    end
    return pieces
end

sandbox.load = host.load
sandbox.try_load, sandbox.try_add = host.try_load, host.try_load
for name in string.gmatch([[
    load_any always_load unload depends_on atleast between latest
    prepend_path append_path remove_path setenv pushenv unsetenv
    add_property remove_property set_alias unset_alias set_shell_function unset_shell_function
    prereq prereq_any conflict family inherit whatis help extensions source_sh complete uncomplete
    LmodVersion convertToCanonical hierarchyA isPending isloaded isAvail loaded_modules mode
    moduleStackTraceBack myFileName myModuleFullName myModuleName myModuleUsrName myModuleVersion
    requireFullName execute
    pathJoin isDir isFile dirname extname removeExt barefilename splitFileName path_regularize
]], "%S+") do
    sandbox[name] = host[name]
end
sandbox.always_unload = host.unload
sandbox.userInGroup, sandbox.userInGroups = host.userInGroup, host.userInGroup
sandbox.LmodError, sandbox.LmodSystemError = host.lmod_error, host.lmod_system_error
sandbox.LmodWarning, sandbox.LmodMessage = host.lmod_warning, host.lmod_message
sandbox.LmodMsgRaw, sandbox.LmodBreak = host.lmod_raw, host.lmod_break
sandbox.mgrload, sandbox.color_banner = nothing, nothing
sandbox.abspath = host.realpath

function sandbox.myShellName() return "bash" end
function sandbox.myShellType() return "sh" end
function sandbox.is_spider() return false end

function sandbox.colorize(_, ...)
    return table.concat({ ... })
end

function sandbox.mkdir_recursive(path)
    host.shell_text("mkdir_recursive", path)
end

function sandbox.isDefined(name) return sandbox[name] ~= nil end
function sandbox.isNotDefined(name) return sandbox[name] == nil end

---- Programs

function sandbox.subprocess(command)
    return (host.run("subprocess", command, false))
end

function sandbox.capture(command, extra)
    local before = {}
    for name, value in pairs(extra or {}) do
        before[name] = host.getenv(name) or false
        host.set_private(name, tostring(value))
    end
    -- Lua 5.1 learns a command's status from what the shell prints after it: one that ends the shell is an error.
    local status = "module-export status: "
    local asked = oldest and command .. "\necho \"" .. status .. "$?\"" or command
    local output, success = host.run("capture", asked, not since(8, 7, 61))
    for name, value in pairs(before) do host.set_private(name, value or nil) end
    if oldest then
        local text, code = string.match(output, "^(.*)" .. string.gsub(status, "%-", "%%-") .. "(%d+)\n$")
        if not text then host.lmod_error("capture: the command ends the shell: " .. command) end
        output, success = text, code == "0"
    end
    if oldest then return output, success end
    return output, success or nil
end

function sandbox.UUIDString(epoch)
    local date = os.date("*t", epoch)
    local file = own.open("/proc/sys/kernel/random/uuid", "r")
    local uuid = file and file:read("l") or ""
    if file then file:close() end
    return string.format("%d_%02d_%02d_%02d_%02d_%02d-%s", date.year, date.month, date.day, date.hour, date.min,
        date.sec, uuid)
end

---- What came with later versions

if since(8, 7, 4) then sandbox.haveDynamicMPATH = nothing end
if since(8, 7, 28) then sandbox.purge = host.purge end
if since(8, 7, 33) then sandbox.realpath = host.realpath end
if since(8, 7, 35) then sandbox.io.popen = files.popen end
if since(8, 7, 38) then
    sandbox.atmost, sandbox.depends_on_any = host.atmost, host.depends_on_any
end
if since(8, 7, 50) then
    function sandbox.myConfig(key)
        if key == "username" then return host.identity("-u")[1] end
        if key == "usergroups" then return host.identity("-G") end
        if key == "shelltype" then return "bash" end
        return nil
    end
    function sandbox.dofile() host.lmod_error("dofile is not supported in modulefiles") end
end
if since(8, 7, 57) then sandbox.export_shell_function = host.export_shell_function end
-- What these give is not a function yet when the sandbox is made.
if since(8, 7, 38) then sandbox.colorize = false end
if since(9, 2, 6) then
    function sandbox.protected_getenv(call)
        call = type(call) == "table" and call or {}
        local name = call[1] or ""
        local value = host.getenv(name)
        if value then return value end
        for _, mode in ipairs(call.modeA or {}) do
            if mode == host.mode() then return call[2] or "$" .. name end
        end
        return nil
    end
    function sandbox.myModuleUsrAndAliasName() return host.myModuleUsrName(), host.myModuleAliasName() end
end

---- Subsets of libraries

sandbox.dbg = { active = function() return false end, fini = nothing, print = nothing, 
                printA = nothing, printT = nothing, start = nothing }

local function attributes(path, wanted, follow)
    local found = host.attributes(path, follow)
    if not found then return nil, "cannot obtain information from file '" .. path .. "'" end
    if type(wanted) == "string" then return found[wanted] end
    return found
end

local function refused(name)
    return function(path)
        host.shell_text("lfs." .. name, tostring(path))
        return true
    end
end

sandbox.lfs = {
    attributes = function(path, wanted) return attributes(path, wanted, true) end,
    symlinkattributes = function(path, wanted) return attributes(path, wanted, false) end,
    currentdir = function() return host.getenv("PWD") or "/" end,
    dir = function(path)
        local names = host.list_directory(path)
        if not names then error("cannot open " .. path, 2) end
        local position = 0
        return function()
            position = position + 1
            return names[position]
        end
    end,
    chdir = refused("chdir"), mkdir = refused("mkdir"), rmdir = refused("rmdir"), touch = refused("touch"),
    lock = refused("lock"), lock_dir = refused("lock_dir"), unlock = refused("unlock"),
    setmode = function() return true, "binary" end,
}

local letters = { s = "sysname", n = "nodename", r = "release", v = "version", m = "machine" }
local kinds = { file = "regular", ["named pipe"] = "fifo", ["char device"] = "character device" }

sandbox.posix = {
    uname = function(format)
        local found = host.uname()
        if format == nil then return found end
        return (string.gsub(format, "%%(%a)", function(letter) return found[letters[letter]] end))
    end,
    setenv = function(name, value)
        host.set_private(name, value ~= nil and tostring(value) or nil)
        return 0
    end,
    stat = function(path, wanted)
        local found = host.attributes(path, false)
        if not found then return nil, path .. ": No such file or directory", 2 end
        local stat = { type = kinds[found.mode] or found.mode, mode = found.permissions, size = found.size,
                       ino = found.ino, dev = found.dev, nlink = found.nlink, uid = found.uid, gid = found.gid,
                       atime = found.access, mtime = found.modification, ctime = found.change }
        if wanted then return stat[wanted] end
        return stat
    end,
    hostid = function() return 0 end,
    open = function(path) return nil, tostring(path) .. ": Operation not permitted", 1 end,
    openlog = nothing, closelog = nothing, syslog = nothing,
}

return sandbox
