setenv("V", tostring(mine))
