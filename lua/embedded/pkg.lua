-- `Pkg`, the class with which some sites write their modulefiles.
local host, sandbox = ...
local string, table = host.own.string, host.own.table

local Pkg = {}
local parts = { DIR = "", BIN = "bin", LIB = "lib", INC = "include", DOC = "doc", MAN = "man" }
local hierarchy = { [0] = "Compiler", [1] = "MPI" }

function Pkg:new(description)
    local pkg = setmetatable({}, { __index = Pkg })
    for key, value in pairs(description) do pkg[key] = value end
    pkg._pkgName, pkg._pkgVersion = sandbox.myModuleName(), sandbox.myModuleVersion()
    pkg._pkgNameVer = sandbox.myModuleFullName()
    pkg._display_name = pkg.display_name or pkg._pkgName
    pkg._pkgRoot = pkg.pkgRoot or host.getenv("SITE_PACKAGE_ROOT") or "/opt/apps"
    pkg._pkgBase = pkg:_build_pkgBase(pkg.level or 0)
    pkg:setPkgInfo()
    return pkg
end

function Pkg:_build_pkgBase(level)
    local pieces = { self._pkgRoot }
    if level > 0 then
        local above = sandbox.hierarchyA(self._pkgNameVer, level)
        for i = level, 1, -1 do pieces[#pieces + 1] = string.gsub(string.gsub(above[i], "/", "-"), "%.", "_") end
    end
    pieces[#pieces + 1] = self._pkgNameVer
    return sandbox.pathJoin(table.unpack(pieces))
end

function Pkg:setPkgInfo()
    sandbox.whatis("Name: " .. self:pkgDisplayName())
    sandbox.whatis("Version: " .. self:pkgVersion())
    for _, key in ipairs({ "Category", "Description", "URL", "Keywords", "License" }) do
        if type(self[key]) == "string" then sandbox.whatis(key .. ": " .. self[key]) end
    end
    if self.help then sandbox.help(self.help, "\nVersion " .. self:pkgVersion() .. "\n") end
end

function Pkg:setStandardPaths(...)
    local prefix = string.upper(host.site_name()) .. "_" .. string.upper(self:pkgDisplayName()) .. "_"
    for _, what in ipairs({ ... }) do
        what = string.upper(what)
        local part = parts[what]
        if not part then host.lmod_error("setStandardPaths: there is no `" .. what .. "`") end
        local path = sandbox.pathJoin(self:pkgBase(), part)
        sandbox.setenv(prefix .. what, path)
        if what == "BIN" then sandbox.prepend_path("PATH", path) end
        if what == "MAN" then sandbox.prepend_path("MANPATH", path) end
    end
end

function Pkg:moduleDir()
    local level = self.level or 0
    local pieces = { host.getenv("MODULEPATH_ROOT") }
    pieces[#pieces + 1] = hierarchy[level]
    if level > 0 then
        local above = sandbox.hierarchyA(self._pkgNameVer, level)
        for i = level, 1, -1 do pieces[#pieces + 1] = above[i] end
    end
    local digits = "(" .. string.rep("%d+%.", (self.digit_rule or 2) - 1) .. "%d+)%.?"
    pieces[#pieces + 1] = sandbox.pathJoin(self._pkgName, string.match(self._pkgVersion, digits))
    return sandbox.pathJoin(table.unpack(pieces))
end

function Pkg:pkgName() return self._pkgName end
function Pkg:pkgDisplayName() return self._display_name end
function Pkg:pkgVersion() return self._pkgVersion end
function Pkg:pkgBase() return self._pkgBase end
function Pkg:name() return "Pkg" end
function Pkg:pkgBaseName() return "PkgBase" end
function Pkg:create() return setmetatable({}, { __index = self }) end

return Pkg
