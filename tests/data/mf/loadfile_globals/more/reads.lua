if undeclared == nil then setenv("N", "1") end
