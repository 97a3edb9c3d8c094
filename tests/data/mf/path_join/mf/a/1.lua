
local t = { {"/a","b"}, {"/a/","/b/"}, {"a","b","c"}, {"/","a"}, {"a","","b"}, {"/a//b","c//"}, {" /a ","b "}, {"~","x"}, {"/a","../b"}, {"/a",".","b"}, {"/"}, {"a"}, {"/a/b/","/"}, {"//a"} }
for i, v in ipairs(t) do setenv("J" .. i, "[" .. pathJoin(unpack(v)) .. "]") end
setenv("JNIL", pathJoin("/a", nil, "b"))
setenv("R1", path_regularize("/a//b/./c/"))
setenv("R2", path_regularize("/a/b/../c", true))
setenv("R3", path_regularize("~/x"))
setenv("R4", path_regularize("a/../../b", true))
