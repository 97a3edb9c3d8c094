if load("x") then setenv("YES","1") else setenv("NO","1") end
if not try_load("x") then setenv("TRIED","nil") end
