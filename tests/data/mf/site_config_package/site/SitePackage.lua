sandbox_registration{ here = function() setenv("HERE", "site") end }
