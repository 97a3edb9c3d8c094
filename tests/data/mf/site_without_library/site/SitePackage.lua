require("string_util")
