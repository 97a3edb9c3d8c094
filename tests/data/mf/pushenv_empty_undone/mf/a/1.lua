pushenv("Z","")
