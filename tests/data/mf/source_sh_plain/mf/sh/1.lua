source_sh("sh", myFileName():gsub("mf/sh/1.lua","") .. "s.sh")
