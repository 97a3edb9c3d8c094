setenv("M", (moduleStackTraceBack("q"):gsub("\n", "|")))
