if not os.getenv("GO") then LmodBreak() end
setenv("A","1")
