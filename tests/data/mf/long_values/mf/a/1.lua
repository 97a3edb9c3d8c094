setenv("LONG", ("x"):rep(20000))
for i = 1, 200 do prepend_path("MANY", "/p" .. i) append_path("MANY", "/q" .. i) end
