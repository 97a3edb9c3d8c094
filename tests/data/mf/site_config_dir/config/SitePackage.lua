sandbox_registration{ here = function() setenv("HERE", "config") end }
