hide_modulefile(os.getenv("HERE") .. "/mf/x/2.lua")
