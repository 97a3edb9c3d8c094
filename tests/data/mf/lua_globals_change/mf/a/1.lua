function helper(x) return "h" .. x end
string.extra = "e"
old_setenv = setenv
