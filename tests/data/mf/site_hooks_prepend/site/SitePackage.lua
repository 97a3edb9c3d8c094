local hook = require("Hook")
require("other_file")
hook.register("load", first_hook, "prepend")
hook.register("load", second_hook, "prepend")
