module_version("/1","lua")
