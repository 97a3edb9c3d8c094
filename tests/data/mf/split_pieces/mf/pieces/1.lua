local all = {}
for piece in string.split(" x  y ") do all[#all + 1] = "<" .. piece .. ">" end
setenv("A", table.concat(all))
