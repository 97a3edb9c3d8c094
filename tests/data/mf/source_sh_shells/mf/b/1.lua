source_sh("zsh", myFileName():gsub("mf/b/1.lua","") .. "s.sh")
