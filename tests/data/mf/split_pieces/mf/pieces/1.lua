local all = {}
for piece, a, b in string.split("a:b=c:", "([:=])()") do all[#all + 1] = piece .. "," .. tostring(a) .. "," .. tostring(b) end
setenv("A", table.concat(all, "|"))
all = {}
for piece in ("abc"):split("") do all[#all + 1] = piece end
setenv("B", table.concat(all, "|"))
for piece in string.split(" x  y ") do append_path("C", "<" .. piece .. ">") end
