
setenv("A","tab\there")
setenv("B","a=b;c&d|e<f>g(h)")
setenv("C","*?[x]{a,b}~#")
setenv("D","ü – é")
prepend_path("E","/with space/and'quote")
