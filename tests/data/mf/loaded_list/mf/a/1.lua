for i, m in ipairs(loaded_modules()) do setenv("M" .. i, m.sn .. " " .. m.fullName .. " " .. m.userName) end
