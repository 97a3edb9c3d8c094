pushenv("X","one")
pushenv("N","one")
