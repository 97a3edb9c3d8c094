-- Look-alikes of what Lmod's own libraries give to a site's files. What is not here is named when it is used.
local host, sandbox, site = ...
local own = host.own
local os, string, table = own.os, own.string, own.table
local globals, loaded = site.globals, site.package.loaded

local function nothing() end

-- An object whose missing methods are named.
local function object(kind, methods)
    return setmetatable({}, {
        __index = function(_, name)
            local method = methods[name]
            if method == nil and methods.field then
                local value = methods.field(name)
                if value ~= nil then return value end
            end
            if method == nil then host.unsupported("`" .. tostring(name) .. "` of Lmod's " .. kind) end
            return method
        end,
    })
end

---- Functions

local modulefiles_only = { load = true, dbg = true, unpack = true }

for name, value in pairs(sandbox) do
    if globals[name] == nil and not modulefiles_only[name] then globals[name] = value end
end
globals.load_module, globals.realpath, globals.abspath = sandbox.load, host.realpath, host.realpath
-- They are there whatever modulefiles may call.
for name in string.gmatch("atmost depends_on_any purge export_shell_function", "%S+") do globals[name] = host[name] end
globals.pathJoin_w_spaces = sandbox.pathJoin
function globals.sandbox_registration(functions)
    if type(functions) ~= "table" then
        host.lmod_error("sandbox_registration: it needs a table, not a " .. type(functions))
    end
    for name, value in pairs(functions) do sandbox[name] = value end
end
function globals.sandbox_set_os_exit(called) sandbox.os.exit = called end
function globals.sandbox_run(text)
    local called, reason = host.modulefile_chunk(text)
    if not called then return nil, reason end
    return globals.pcall(called)
end
function globals.lmod_system_execute(command) host.shell_text("lmod_system_execute", tostring(command)) end
function globals.epoch() return os.time() + 0.5 end
function globals.TermWidth() return 80 end
globals.parseVersion = host.convertToCanonical
function globals.colorize(_, ...) return table.concat({ ... }) end
function globals.extractVersion(full_name, sn)
    if not full_name or full_name == sn then return false end
    return string.sub(full_name, #sn + 2)
end
function globals.cmdDir() return host.lmod_directory() or "" end
function globals.cmdName() return "lmod" end
function globals.quiet() return host.getenv("LMOD_QUIET") ~= nil end
function globals.haveWarnings() return true end
globals.is_spider = function() return false end
globals.findAdminFn, globals.readAdmin, globals.prtHdr = nothing, nothing, nothing
function globals.i18n(key) return key end
globals.LuaV = (string.gsub(globals._VERSION, "Lua ", ""))
globals.ModulePath = "MODULEPATH"
globals.LMOD_CACHE_VERSION = 5

local options = { pargs = {}, verbose = false, availStyle = "system", debug = 0, terse = false, rest = {} }
for at, word in ipairs(globals.arg) do
    if at > 2 then options.pargs[#options.pargs + 1] = word end
end
function globals.masterTbl() return options end
globals.optionTbl = globals.masterTbl

function globals.isDefined(name) return rawget(globals, name) ~= nil end
function globals.isNotDefined(name) return rawget(globals, name) == nil end

function globals.pairsByKeys(list, before)
    local keys, at = {}, 0
    for key in pairs(list) do keys[#keys + 1] = key end
    table.sort(keys, before)
    return function()
        at = at + 1
        if keys[at] ~= nil then return keys[at], list[keys[at]] end
    end
end

function globals.deepcopy(value, seen)
    if type(value) ~= "table" then return value end
    seen = seen or {}
    if seen[value] then return seen[value] end
    local copy = {}
    seen[value] = copy
    for k, v in pairs(value) do copy[globals.deepcopy(k, seen)] = globals.deepcopy(v, seen) end
    return setmetatable(copy, getmetatable(value))
end

local function serialized(value, indent)
    if type(value) == "string" then return string.format("%q", value) end
    if type(value) ~= "table" then return tostring(value) end
    local lines, inner = {}, indent .. "  "
    for _, item in ipairs(value) do lines[#lines + 1] = inner .. serialized(item, inner) .. ",\n" end
    for key, item in globals.pairsByKeys(value, function(a, b) return tostring(a) < tostring(b) end) do
        if type(key) ~= "number" or key > #value then
            lines[#lines + 1] = inner .. "[" .. serialized(key, "") .. "] = " .. serialized(item, inner) .. ",\n"
        end
    end
    return "{\n" .. table.concat(lines) .. indent .. "}"
end
function globals.serializeTbl(call)
    local text = serialized(call.value, "")
    return call.name and (call.name .. " = " .. text .. "\n") or text
end

---- Settings

local cosmic = object("Cosmic", {
    value = function(_, name)
        local value = host.setting(name)
        if value == nil then
            if not host.is_setting(name) then error("attempt to index a nil value (field '" .. name .. "')", 2) end
            return false
        end
        return value
    end,
    get = function(_, name, otherwise)
        local value = host.setting(name)
        if value == nil then return otherwise end
        return value
    end,
    assign = function(_, name, value) host.assign(name, value) end,
    init = function(_, call)
        if host.setting(call.name) == nil then
            host.assign(call.name, host.getenv(call.name) or call.assignV or call.yn or call.default)
        end
    end,
    default = function(_, name) return host.setting(name) end,
    set_key = nothing,
    get_key = function() return "Other" end,
})
loaded.Cosmic = { singleton = function() return cosmic end }

---- Modules

local names = { sn = "sn", fullName = "fullName", userName = "userName", version = "version", fn = "fn", wV = "wV",
                stackDepth = "stackDepth", origUserName = "userName", ref_count = "ref_count" }

local function mname(data)
    local methods = {}
    for method, field in pairs(names) do
        methods[method] = function()
            local value = data[field]
            if value == nil then return false end
            return value
        end
    end
    function methods.isVisible() return data.visible end
    function methods.valid() return data.fn ~= nil end
    function methods.className() return "MName" end
    function methods.show() return data.userName end
    function methods.defaultKind()
        local kinds = { ["^"] = "marked", s = "system", u = "user" }
        return kinds[string.match(data.wV or "", "([^/]?)[^/]*$")] or "none"
    end
    function methods.isloaded() return host.isloaded(data.userName) end
    function methods.isPending() return host.isPending(data.userName) end
    return object("MName", methods)
end
site.mname = mname

loaded.MName = {
    new = function(_, kind, name)
        return mname(host.find(kind == "mt" and "session" or "path", name))
    end,
    className = function() return "MName" end,
}

local function entry(field)
    return function(_, sn)
        local module = host.module(sn)
        return module and module[field]
    end
end
local mt = object("MT", {
    fn = entry("fn"), fullName = entry("fullName"), userName = entry("userName"), version = entry("version"),
    status = entry("status"), stackDepth = entry("stackDepth"), wV = entry("wV"), get_ref_count = entry("ref_count"),
    getStatus = entry("status"),
    exists = function(_, sn, full_name)
        local module = host.module(sn)
        return module ~= nil and (full_name == nil or module.fullName == full_name)
    end,
    have = function(_, sn, status)
        local module = host.module(sn)
        return module ~= nil and (status == "any" or module.status == status)
    end,
    haveProperty = function(_, sn, name, value)
        local module = sn and host.module(sn)
        local values = module and module.properties[name]
        return values and values[value]
    end,
    list = function(_, kind, status)
        local list = {}
        for at, module in ipairs(host.loaded_modules()) do
            if status == "any" or module.status == nil or module.status == status then
                if kind == "sn" then
                    list[at] = module.sn
                elseif kind == "fullName" then
                    list[at] = module.fullName
                elseif kind == "userName" then
                    list[at] = module.userName
                else
                    list[at] = module
                end
            end
        end
        return list
    end,
    getfamily = function(_, name) return host.family_member(name) end,
    empty = function() return #host.loaded_modules() == 0 end,
    modulePathA = function() return host.modulepath() end,
    add_property = function(_, _, name, value) host.add_property(name, value) end,
    name = function() return "_ModuleTable_" end,
    field = function(name)
        if name ~= "mT" then return nil end
        local all = {}
        for _, sn in ipairs(host.module_names()) do
            all[sn] = host.module(sn)
            all[sn].propT = all[sn].properties
        end
        return all
    end,
    className = function() return "MT" end,
})
loaded.MT = { singleton = function() return mt end, mt = function() return mt end }
globals.MT = loaded.MT

local function top(field)
    return function()
        local frame = host.own_frame()
        local value = frame and frame[field]
        if value == nil then return false end
        return value
    end
end
local frames = object("FrameStk", {
    mt = function() return mt end, origMT = function() return mt end,
    empty = function() return host.depth() == 0 end,
    atTop = function() return host.depth() == 1 end,
    stackDepth = function() return host.depth() end,
    count = function() return host.depth() + 1 end,
    fullName = top("fullName"), userName = top("userName"), fn = top("fn"), sn = top("sn"), version = top("version"),
    mname = function()
        local frame = host.own_frame()
        return frame and mname(frame)
    end,
})
loaded.FrameStk = { singleton = function() return frames end }

---- Small ones

local dbg = {}
for name in string.gmatch([[active fini print print2D printA printT start warning error set_prefix activateDebug flush indent
    errorExit quiet]], "%S+") do
    dbg[name] = nothing
end
function dbg.active() return false end
loaded.Dbg = { dbg = function() return dbg end }
globals.dbg = dbg

local posix, lfs = {}, {}
for name, value in pairs(sandbox.posix) do posix[name] = value end
for name, value in pairs(sandbox.lfs) do lfs[name] = value end
posix.getenv = function(name) return name and host.getenv(name) or nil end
function posix.access(path) return host.attributes(path, true) and 0 or nil, tostring(path) .. ": not accessible", 2 end
function posix.readlink(path) return host.readlink(path) end
function posix.getcwd() return host.getenv("PWD") or "/" end
function posix.getpid(what)
    local ids = host.ids()
    if what then return ids[what] end
    return ids
end
function posix.getpasswd(user, what)
    local entry = host.passwd(user)
    if entry and what then return entry[what] end
    return entry
end
function posix.basename(path) return string.match((string.gsub(path, "/+$", "")), "[^/]*$") end
function posix.dirname(path)
    local above = string.match((string.gsub(path, "/+$", "")), "^(.*)/[^/]*$")
    return above == nil and "." or above == "" and "/" or above
end
function posix.dir(path)
    local list = {}
    for name in lfs.dir(path) do list[#list + 1] = name end
    return list
end
function posix.files(path) return lfs.dir(path) end
function posix.time() return os.time() end
posix.version = "posix for Lua"
local syslog = { LOG_EMERG = 0, LOG_ALERT = 1, LOG_CRIT = 2, LOG_ERR = 3, LOG_WARNING = 4, LOG_NOTICE = 5,
                 LOG_INFO = 6, LOG_DEBUG = 7, LOG_PID = 1, LOG_USER = 8, LOG_LOCAL0 = 128, openlog = nothing,
                 closelog = nothing }
function syslog.syslog(_, text) host.shell_text("syslog", tostring(text)) end
-- A function and a table at once, for both of luaposix's ways.
posix.syslog = setmetatable(syslog, { __call = function(_, _, text) host.shell_text("syslog", tostring(text)) end })
posix.openlog, posix.closelog = nothing, nothing
lfs._VERSION = "LuaFileSystem 1.8.0"
local function named(kind, library)
    return setmetatable(library, {
        __index = function(_, name)
            if type(name) == "string" and string.find(name, "^[%a]") then
                host.unsupported("`" .. kind .. "." .. name .. "`")
            end
        end,
    })
end
loaded.posix, loaded.lfs = named("posix", posix), named("lfs", lfs)
globals.posix, globals.lfs = posix, lfs
loaded["posix.syslog"], loaded["posix.unistd"], loaded["posix.stdlib"] = syslog, posix, posix
loaded["posix.sys.stat"], loaded["posix.sys.utsname"] = posix, posix

loaded.Version = {
    name = function() return host.LmodVersion() end, tag = function() return host.LmodVersion() end,
    git = function() return "" end,
}
loaded.Hook, loaded.Sandbox = site.hook, true
loaded.i18n = globals.i18n
loaded.declare = true
for name in string.gmatch([[strict sandbox string_utils utils cmdfuncs lmod_system_execute parseVersion capture
    serializeTbl myGlobals TermWidth fileOps colorize deepcopy pairsByKeys loadModuleFile modfuncs inherits
    StandardPackage convertToCanonical UUIDString mergeEnvVars pager]], "%S+") do
    if loaded[name] == nil then loaded[name] = true end
end

function globals.inheritsFrom(base)
    local class = setmetatable({}, { __index = base })
    local meta = { __index = class }
    function class.create() return setmetatable({}, meta) end
    function class.class() return class end
    function class.superClass() return base end
    function class.isa(_, other)
        local current = class
        while current do
            if current == other then return true end
            current = current.superClass and current.superClass()
        end
        return false
    end
    return class
end
