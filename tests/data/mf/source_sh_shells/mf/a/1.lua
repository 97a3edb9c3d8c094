source_sh("sh", myFileName():gsub("mf/a/1.lua","") .. "s.sh")
