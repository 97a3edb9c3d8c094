local value = require("shared_value")
sandbox_registration{ here = function() setenv("HERE", "two" .. value) end }
