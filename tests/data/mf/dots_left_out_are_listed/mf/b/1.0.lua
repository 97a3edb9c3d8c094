local user, own = myModuleUsrAndAliasName()
setenv("B", user .. " " .. own)
