
setenv("SET","new",true)
setenv("UNSET","new",true)
setenv("SET2","new",false)
