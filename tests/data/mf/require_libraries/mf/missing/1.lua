setenv("A", tostring((pcall(require, "nothing_of_this_name"))))
