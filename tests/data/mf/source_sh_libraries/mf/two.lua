source_sh("bash", myFileName():match("^(.*)/mf/") .. "/second.sh")
