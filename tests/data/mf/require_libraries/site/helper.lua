local strings = require("string")
return { v = strings.rep("5", 2) }
