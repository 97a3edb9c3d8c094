setenv("SECRET", tostring(open_secret)) setenv("HELP", helper()) setenv("STATE", tostring(state.x)) kept = 1
