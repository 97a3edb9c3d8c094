-- The globals of a site's own files (SitePackage.lua, lmod_config.lua and what they load): all of Lua, what Lmod
-- gives its own code, and hooks. Writing files and sending mail to the system's log go nowhere and are noted.
local host, sandbox, files = ...
local since, own = host.since, host.own
local io, math, os, string, table = files, own.math, own.os, own.string, own.table
local globals, site = {}, {}

local function note(function_name, text) host.shell_text(function_name, tostring(text)) end

---- Lua's own

for _, name in ipairs({ "assert", "error", "getmetatable", "ipairs", "next", "pairs", "rawequal", "rawget", "rawset",
                        "select", "setmetatable", "tonumber", "tostring", "type", "collectgarbage" }) do
    globals[name] = sandbox[name] or own.basic[name]
end
if host.lua ~= "5.1" and host.lua ~= "luajit" then globals.rawlen = rawlen end
globals._G, globals._VERSION = globals, sandbox._VERSION
globals.__module_export_joint = __module_export_joint
globals.arg = host.words()
globals.print = sandbox.print
globals.pcall = sandbox.pcall
function globals.xpcall(called, handler, ...)
    return host.after_pcall(own.xpcall(called, handler, ...))
end

local function copy(from, names)
    local to = {}
    if names then
        for name in string.gmatch(names, "%S+") do to[name] = from[name] end
    else
        for name, value in pairs(from) do to[name] = value end
    end
    return to
end

globals.string, globals.table, globals.math = own.shared_string, copy(table), copy(math)
globals.table.concat, globals.table.insert = sandbox.table.concat, sandbox.table.insert
globals.table.remove = sandbox.table.remove
-- What must end the evaluation goes through coroutines, too.
globals.coroutine = copy(own.coroutine)
function globals.coroutine.resume(...) return host.after_pcall(own.coroutine.resume(...)) end
if host.lua == "5.4" then
    function globals.coroutine.close(...) return host.after_pcall(own.coroutine.close(...)) end
else
    globals.coroutine.close = nil
end
globals.utf8 = host.has_integers and copy(utf8) or nil
if not host.has_integers then
    globals.unpack, globals.loadstring = table.unpack, true
    function globals.math.pow(base, exponent) return base ^ exponent end
    function globals.table.maxn(list)
        local most = 0
        for k in pairs(list) do if type(k) == "number" and k > most then most = k end end
        return most
    end
end
if host.lua == "5.1" or host.lua == "luajit" then
    function globals.table.getn(list) return #list end
    function globals.table.foreach(list, called) for k, v in pairs(list) do called(k, v) end end
end
if host.lua == "5.1" then
    function globals.math.mod(a, b) return math.fmod(a, b) end
end

globals.os = copy(os, "clock date difftime time")
globals.os.getenv, globals.os.exit, globals.os.execute = host.getenv, host.exit, sandbox.os.execute
for _, name in ipairs({ "remove", "rename" }) do
    globals.os[name] = function(path)
        note("os." .. name, path)
        return true
    end
end
function globals.os.tmpname() return "/tmp/lua_module_export" end
function globals.os.setlocale() return "C" end

globals.io = copy(io, "stderr stdout open close write popen")
function globals.io.lines(path, ...)
    if path == nil then return function() return nil end end
    return own.lines(path, ...)
end
globals.io.type = own.io_type
globals.io.stdin = files.nothing
function globals.io.read() return nil end
function globals.io.tmpfile() return files.nothing end

globals.debug = {
    getinfo = function(level)
        if type(level) ~= "number" then host.unsupported("`debug.getinfo` of a function") end
        return host.stack_info(level)
    end,
    traceback = function(text) return (text or "") .. "\nstack traceback:" end,
}

---- Chunks

-- The function of a text, whose globals are those of the site.
local function chunk(text, name, env)
    local translated, reason = host.site_text(text)
    if not translated then return nil, reason end
    return own.load(translated, name, "t", env or globals)
end

function globals.load(text, name, _, env)
    if type(text) == "function" then
        local pieces = {}
        for piece in text do
            if piece == "" then break end
            pieces[#pieces + 1] = piece
        end
        text = table.concat(pieces)
    end
    return chunk(text, name or "=(load)", env)
end
if globals.loadstring then
    function globals.loadstring(text, name) return chunk(text, name or "=(load)") end
end

function globals.loadfile(path, _, env)
    local text, reason = host.read_file(path)
    if not text then return nil, reason end
    return chunk(text, host.site_file(path), env)
end

function globals.dofile(path)
    local called, reason = globals.loadfile(path)
    if not called then error(reason, 0) end
    return called()
end

---- Libraries

local package = { loaded = {}, preload = {}, config = "/\n;\n?\n!\n-\n" }
local number = string.match(sandbox._VERSION, "%d%.%d")
local function standard(pattern) return (string.gsub(pattern, "5%.x", number)) end
package.path = standard("/usr/local/share/lua/5.x/?.lua;/usr/local/share/lua/5.x/?/init.lua;"
    .. "/usr/share/lua/5.x/?.lua;/usr/share/lua/5.x/?/init.lua")
package.cpath = standard("/usr/local/lib/lua/5.x/?.so;/usr/lib/lua/5.x/?.so;"
    .. "/usr/lib64/lua/5.x/?.so;/usr/lib/" .. host.machine() .. "-linux-gnu/lua/5.x/?.so")
function package.loadlib() return nil, "C libraries cannot be loaded", "absent" end
globals.package = package

local function on_path(name, patterns)
    local tried = {}
    for pattern in string.gmatch(patterns or package.path, "[^;]+") do
        local path = string.gsub(pattern, "%?", (string.gsub(name, "%.", "/")))
        if host.is_regular(path) then return path end
        tried[#tried + 1] = "\n\tno file '" .. path .. "'"
    end
    return nil, table.concat(tried)
end
package.searchpath = on_path

local lmods_own = host.lmod_libraries()

function globals.require(name)
    local loaded = package.loaded[name]
    if loaded ~= nil then return loaded end
    local called, origin
    if package.preload[name] then
        called = package.preload[name]
    else
        local path, tried = on_path(name)
        if path then
            local reason
            called, reason = globals.loadfile(path)
            origin = path
            if not called then error("error loading module '" .. name .. "': " .. tostring(reason), 0) end
        elseif lmods_own[name] then
            host.unsupported("Lmod's library `" .. name .. "`")
        elseif on_path(name, package.cpath) then
            host.unsupported("the C library `" .. name .. "`")
        else
            error("module '" .. name .. "' not found:" .. tried, 2)
        end
    end
    local value = called(name, origin)
    if value ~= nil then package.loaded[name] = value end
    if package.loaded[name] == nil then package.loaded[name] = true end
    return package.loaded[name]
end

for _, name in ipairs({ "string", "table", "math", "os", "io", "coroutine", "package" }) do
    package.loaded[name] = globals[name]
end
package.loaded._G = globals

---- Hooks

local hooks = {}
local known = {}
for name in string.gmatch([[load unload parse_updateFn writeCache SiteName msgHook errWarnMsgHook groupName avail category restore
    startup finalize packagebasename load_spider listHook isVisibleHook spider_decoration reverseMapPathFilter
    colorize_fullName]], "%S+") do
    known[name] = true
end
if since(8, 7, 50) then known.isForbiddenHook = true end
if since(8, 7, 59) then known.decorate_module = true end

local hook = {}
function hook.register(name, called, action)
    if not known[name] then
        local text = "hook.register: there is no hook `" .. tostring(name) .. "`"
        -- These cannot print a warning yet, and end here. What newer ones know is not known.
        if since(8, 7, 38) and not since(9, 2, 10) then error(text .. ", and Lmod fails to say so", 2) end
        host.lmod_warning(text)
        return
    end
    if not since(8, 7, 35) or not action then
        action = "replace"
    else
        action = type(action) == "string" and string.lower(action) or "append"
    end
    if action == "replace" then
        hooks[name] = { called }
    elseif action == "append" then
        hooks[name] = hooks[name] or {}
        table.insert(hooks[name], called)
    elseif action == "prepend" then
        hooks[name] = hooks[name] or {}
        table.insert(hooks[name], 1, called)
    else
        host.lmod_warning("hook.register: there is no action `" .. action .. "`")
    end
end
function hook.apply(name, ...)
    local all = hooks[name]
    if not all then return nil end
    for i = 1, #all - 1 do all[i](...) end
    return all[#all](...)
end
function hook.exists(name) return hooks[name] ~= nil end
site.apply, site.exists = hook.apply, hook.exists

hook.register("SiteName", function() return host.setting("LMOD_SITE_NAME") or "LMOD" end)

---- At the end

local at_exit = {}
globals.ExitHookA = {
    register = function(called, action)
        if action == "prepend" then
            table.insert(at_exit, 1, called)
        else
            at_exit[#at_exit + 1] = called
        end
    end,
    apply = function() for _, called in ipairs(at_exit) do called() end end,
}
site.exit = globals.ExitHookA.apply

---- Undeclared globals are errors, as Lmod has it everywhere but in modulefiles

local declared = {}
local guard = {}
function guard.__newindex(table, name, value)
    if not declared[name] then
        local kind = host.caller_kind()
        if kind ~= "main" and kind ~= "C" then
            error("assign to undeclared variable '" .. tostring(name) .. "'", 2)
        end
        declared[name] = true
    end
    rawset(table, name, value)
end
local lmods_globals = host.lmod_globals()
function guard.__index(_, name)
    if declared[name] then return nil end
    if lmods_globals[name] then host.unsupported("Lmod's `" .. name .. "`") end
    if host.caller_kind() ~= "C" then error("variable '" .. tostring(name) .. "' is not declared", 2) end
    return nil
end

function site.seal()
    for name in pairs(globals) do declared[name] = true end
    setmetatable(globals, guard)
    -- Chunks that a modulefile loads, and libraries that it requires, are code like the site's own.
    sandbox.loadfile, sandbox.require = globals.loadfile, globals.require
    if since(8, 7, 50) then sandbox.loadstring = rawget(globals, "loadstring") or globals.load end
    sandbox.package = { cpath = package.cpath, path = package.path, loaded = package.loaded,
                        preload = package.preload, loadlib = package.loadlib }
end

function site.run(path)
    local called, reason = globals.loadfile(path)
    if not called then error(reason, 0) end
    called()
end

-- The directories in which `require` looks, the last of them first.
function site.search(directories)
    for _, directory in ipairs(directories) do
        directory = string.gsub(directory .. "/", "//+", "/")
        package.path = directory .. "?.lua;" .. directory .. "?/init.lua;" .. package.path
    end
end

site.globals, site.hook, site.package = globals, hook, package
return site
