source_sh("bash", myFileName():match("^(.*)/mf/") .. "/script.sh")
