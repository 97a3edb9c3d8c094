local all = {}
for piece in ("abc"):split("") do all[#all + 1] = piece end
setenv("A", table.concat(all, "|"))
