setenv("R", tostring(userInGroup("no-such-group")))
setenv("S", tostring(userInGroups("a","b")))
