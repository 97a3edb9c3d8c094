
local f = myFileName()
setenv("MODE", lfs.attributes(f, "mode"))
setenv("SIZE", lfs.attributes(f, "size"))
setenv("DIRMODE", lfs.attributes(dirname(f)).mode)
setenv("NONE", tostring(lfs.attributes("/nope")))
setenv("TYPE", posix.stat(f, "type"))
setenv("SYS", posix.uname("%s"))
local names = {}
for n in lfs.dir(dirname(f)) do names[#names + 1] = n end
table.sort(names)
setenv("NAMES", table.concat(names, ","))
