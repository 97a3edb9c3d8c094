local hook = require("Hook")
hook.register("errWarnMsgHook", function(kind, key, msg, t) return msg .. "\nask the help desk" end)
