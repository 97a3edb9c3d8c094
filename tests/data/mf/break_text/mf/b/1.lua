if not os.getenv("GO") then LmodBreak("") end
setenv("B","1")
