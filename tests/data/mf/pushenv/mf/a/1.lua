
pushenv("X","new")
pushenv("NEW","1")
pushenv("GONE",false)
pushenv("NUM",5)
