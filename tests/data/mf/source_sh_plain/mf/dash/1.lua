source_sh("dash", myFileName():gsub("mf/dash/1.lua","") .. "s.sh")
