setenv("GOT", myModuleFullName() .. " " .. myModuleUsrName() .. " " .. tostring(myModuleVersion()))
setenv("FILE", myFileName())
