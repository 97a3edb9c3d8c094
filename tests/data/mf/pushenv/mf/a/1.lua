
pushenv("X","new")
pushenv("NEW","1")
pushenv("GONE",false)

