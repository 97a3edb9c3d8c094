sandbox_registration{ here = function() setenv("HERE","prepended") end }
