setenv("GOT_" .. (myModuleName():gsub("%W","_")), myModuleFullName() .. " " .. myModuleUsrName())
