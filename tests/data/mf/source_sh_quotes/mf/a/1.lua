source_sh("bash", myFileName():gsub("mf/a/1.lua","") .. "s.sh")
