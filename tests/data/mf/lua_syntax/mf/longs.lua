--[==[ a comment with .. and 7//2 ]]
]==]
setenv("A", [[x..y]] .. [=[ ]] ]=] .. '..' .. "\"..\"")
-- setenv("B", 1//2)
setenv("C", #".." .. 1)
