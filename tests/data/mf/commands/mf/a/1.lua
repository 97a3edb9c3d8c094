
setenv("A","1")
prepend_path("P","/a")
setenv("SUB", (subprocess("echo $A $P"):gsub("%s+$","")))
setenv("CAP", (capture("printf '%s' \"$A\"")))
setenv("LD", subprocess("printf '%s' \"${LD_LIBRARY_PATH-unset}\""))
setenv("LDCAP", (capture("printf '%s' \"${LD_LIBRARY_PATH-unset}\"")))
setenv("FAIL", subprocess("exit 3"))
