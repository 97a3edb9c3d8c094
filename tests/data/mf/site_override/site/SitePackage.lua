require("sandbox")
local own_setenv, own_load = setenv, load_module
sandbox_registration{
   setenv = function(name, value) own_setenv("SITE_" .. name, value) end,
   load = function(...) own_setenv("ASKED", select("#", ...)) own_load(...) end,
   try_load = false,
   error = error,
}
