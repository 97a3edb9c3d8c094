family("comp")
setenv("C","a")
