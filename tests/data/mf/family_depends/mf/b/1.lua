family("comp")
setenv("C","b")
