load("longer_than_the_title/1.2")
setenv("A", (moduleStackTraceBack():gsub("\n", "|")))
