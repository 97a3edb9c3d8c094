local posix, io, math, os, table = require("posix"), require("io"), require("math"), require("os"), require("table")
setenv("ACCESS", tostring(posix.access("/tmp", "r")))
setenv("ABOVE", posix.dirname("/a/b"))
setenv("PID", type(posix.getpid))
setenv("ROOT", math.sqrt(16))
setenv("OS", type(os.tmpname) .. type(os.remove))
setenv("JOINED", table.concat({ 1, 2 }, "-"))
for line in io.lines(myFileName()) do append_path("LENGTHS", tostring(#line)) end
