-- Sample for a site: these two lines go into /etc/lmod/lmod_config.lua (or $LMOD_CONFIG_DIR/lmod_config.lua).
local extension = loadfile("/opt/module-export/lua/lmod/module_export.lua") -- where it was installed
if extension then extension() end
