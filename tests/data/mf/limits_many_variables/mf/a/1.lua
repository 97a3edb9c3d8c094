for i = 1, 1000 do setenv("V" .. i, "x" .. i) end
for i = 1, 300 do prepend_path("P", "/p" .. i) append_path("Q", "/q" .. i % 7) end
