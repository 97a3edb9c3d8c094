local all = {}
for piece, a, b in string.split("a:b=c:", "([:=])()") do all[#all + 1] = piece .. "," .. tostring(a) .. "," .. tostring(b) end
setenv("A", table.concat(all, "|"))
