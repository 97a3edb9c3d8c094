setenv("A", tostring(myModuleVersion()) .. myModuleName() .. myModuleFullName() .. tostring(isDefined("setenv")) .. tostring(isNotDefined("nothing")))
