function defined() return 1 end
setenv("V", defined())
