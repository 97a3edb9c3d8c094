
for l = 1, 2 do
  local h = hierarchyA(myModuleFullName(), l)
  for i = 1, #h do setenv("H" .. l .. i, h[i]) end
end
