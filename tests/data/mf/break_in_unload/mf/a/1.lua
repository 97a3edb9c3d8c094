setenv("A","1")
if mode()=="unload" then LmodBreak() end
setenv("B","1")
