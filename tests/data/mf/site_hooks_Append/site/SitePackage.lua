local hook = require("Hook")
require("other_file")
hook.register("load", first_hook, "Append")
hook.register("load", second_hook, "Append")
