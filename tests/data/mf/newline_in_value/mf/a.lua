setenv("TEXT", "one\ntwo\nthree")
setenv("INSIDE", os.getenv("TEXT"):gsub("\n", "+"))
