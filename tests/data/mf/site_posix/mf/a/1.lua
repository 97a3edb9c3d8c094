for i, v in ipairs(seen) do setenv("V" .. i, tostring(v)) end
