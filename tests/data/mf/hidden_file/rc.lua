hide_modulefile("/nope/x/1.lua")
hide_version("x/2")
