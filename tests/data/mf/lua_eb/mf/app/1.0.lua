local root = "/apps/app/1.0"
if not ( isloaded("GCCcore/13.2.0") ) then
    load("GCCcore/13.2.0")
end
if mode() ~= "spider" then
    setenv("THREADS", 8 / 2)
end
setenv("EBROOTAPP", root)
prepend_path("LD_LIBRARY_PATH", root .. "/lib")
extensions("a/1.0,b/2.0")
