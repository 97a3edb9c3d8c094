local hook = require("Hook")
require("other_file")
hook.register("load", first_hook)
hook.register("load", second_hook)
