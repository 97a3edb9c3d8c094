---@meta
-- What modulefiles may call, for editors that read LuaCATS. Only lua/embedded is run.

---@alias Scalar string|number|boolean
---@class (exact) Chosen What `atleast` and the like give, for `load`, `depends_on`, `prereq`, `conflict`.

---Sets a variable.
---@param name string
---@param value Scalar
---@param respect? boolean keep a value that is there
function setenv(name, value, respect) end

---Sets a variable and keeps its former value for an unload; `false` unsets it.
---@param name string
---@param value Scalar
function pushenv(name, value) end

---@param name string
---@param value? Scalar
function unsetenv(name, value) end

---Puts elements in front of a path variable; also `{name, value, delim=, priority=, modeA=}`.
---@param name string
---@param value string
---@param delimiter? string
function prepend_path(name, value, delimiter) end

---@param name string
---@param value string
---@param delimiter? string
function append_path(name, value, delimiter) end

---@param name string
---@param value string
---@param delimiter? string
function remove_path(name, value, delimiter) end

---@param ... string|Chosen
function load(...) end
---@param ... string|Chosen
function try_load(...) end
---@param ... string|Chosen
function try_add(...) end
---@param ... string|Chosen
function load_any(...) end
---@param ... string|Chosen
function always_load(...) end
---@param ... string
function unload(...) end
---@param ... string
function always_unload(...) end
---@param ... string|Chosen
function depends_on(...) end
---@param ... string|Chosen
function depends_on_any(...) end
---@param ... string|Chosen
function prereq(...) end
---@param ... string|Chosen
function prereq_any(...) end
---@param ... string|Chosen
function conflict(...) end
---@param name string
function family(name) end
function inherit() end
function purge() end
function mgrload() end

---@param name string
---@param lowest string
---@return Chosen
function atleast(name, lowest) end
---@param name string
---@param highest string
---@return Chosen
function atmost(name, highest) end
---@param name string
---@param lowest string
---@param highest string
---@return Chosen
function between(name, lowest, highest) end
---@param name string
---@return Chosen
function latest(name) end

---@param name string
---@return boolean
function isloaded(name) end
---@param name string
---@return boolean
function isPending(name) end
---@param name string
---@return string? file
function isAvail(name) end
---@return table[]
function loaded_modules() end
---@return "load"|"unload"
function mode() end
---@return boolean
function is_spider() end

---@return string
function myFileName() end
---@return string
function myModuleFullName() end
---@return string
function myModuleName() end
---@return string
function myModuleUsrName() end
---@return string, string
function myModuleUsrAndAliasName() end
---@return string|false
function myModuleVersion() end
---@return string
function myShellName() end
---@return string
function myShellType() end
function myConfig() end
function requireFullName() end
---@param name string
---@param levels integer
---@return string[]
function hierarchyA(name, levels) end
---@param text? string
---@return string
function moduleStackTraceBack(text) end

---@param ... string
function LmodError(...) end
---@param ... string
function LmodSystemError(...) end
---@param ... string
function LmodWarning(...) end
---@param ... string
function LmodMessage(...) end
---@param ... string
function LmodMsgRaw(...) end
---@param text? string
function LmodBreak(text) end
---@return string
function LmodVersion() end
---@param version string
---@return string
function convertToCanonical(version) end

---@param text string
function whatis(text) end
---@param ... string
function help(...) end
---@param ... string
function extensions(...) end
---@param name string
---@param value string
function add_property(name, value) end
---@param name string
---@param value string
function remove_property(name, value) end
---@param color string
---@param ... string
---@return string
function colorize(color, ...) end
---@param color? string
function color_banner(color) end

---@param call {cmd: string, modeA: string[]}
function execute(call) end
---@param name string
---@param text string
function set_alias(name, text) end
---@param name string
function unset_alias(name) end
---@param name string
---@param bash string
---@param csh string
function set_shell_function(name, bash, csh) end
---@param name string
function unset_shell_function(name) end
---@param name string
function export_shell_function(name) end
---@param shell string
---@param name string
---@param arguments string
function complete(shell, name, arguments) end
---@param shell string
---@param name string
---@param arguments string
function uncomplete(shell, name, arguments) end
---@param shell string
---@param script string
function source_sh(shell, script) end

---@param command string
---@return string
function subprocess(command) end
---@param command string
---@param environment? table<string, string>
---@return string, boolean
function capture(command, environment) end
---@param ... string
---@return boolean
function userInGroup(...) end
---@param ... string
---@return boolean
function userInGroups(...) end
---@param epoch integer
---@return string
function UUIDString(epoch) end
---@param name string
---@return string?
function protected_getenv(name) end
function haveDynamicMPATH() end

---@param ... string?
---@return string
function pathJoin(...) end
---@param path string
---@param full? boolean
---@return string
function path_regularize(path, full) end
---@param path? string
---@return boolean
function isDir(path) end
---@param path? string
---@return boolean?
function isFile(path) end
---@param path string
---@return string
function dirname(path) end
---@param path string
---@return string
function extname(path) end
---@param path string
---@return string
function removeExt(path) end
---@param path string
---@return string
function barefilename(path) end
---@param path string
---@return string, string
function splitFileName(path) end
---@param path string
---@return string?
function abspath(path) end
---@param path string
---@return string?
function realpath(path) end
---@param path string
function mkdir_recursive(path) end
---@param name string
---@return boolean
function isDefined(name) end
---@param name string
---@return boolean
function isNotDefined(name) end
