
for l = 1, 3 do
  local h = hierarchyA(myModuleFullName(), l)
  for i = 1, #h do setenv("H" .. l .. i, (h[i]:gsub("^.*/mf$","MF"))) end
end
setenv("N0", #hierarchyA(myModuleFullName(), 0))
