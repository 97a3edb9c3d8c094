#%Module
setenv("A", "1")
