goto done
setenv("A","1")
::done::
