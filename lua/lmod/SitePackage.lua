-- For a user without the site's rights: put this directory LAST in LMOD_PACKAGE_PATH (Lmod searches the
-- last one first). It loads the extension, then the SitePackage.lua that Lmod would have found without it.
-- A site that has a SitePackage.lua of its own adds the two lines of lmod_config.lua to it instead.
local me = debug.getinfo(1, "S").source:gsub("^@", "")
local extension = loadfile((me:match("^.*/") or "") .. "module_export.lua")
if extension then extension() end

-- The same file under another spelling must not call itself for ever.
local seen = package.loaded["module_export.seen"] or {}
package.loaded["module_export.seen"] = seen
seen[me] = true
for template in package.path:gmatch("[^;]+") do
   local path = template:gsub("%?", "SitePackage")
   local file = not seen[path] and io.open(path, "rb")
   if file then
      file:close()
      seen[path] = true
      return assert(loadfile(path))(...)
   end
end
