local root = "/apps/software/foss/2023b"
conflict("foss")
if not ( isloaded("GCC/13.2.0") ) then
    load("GCC/13.2.0")
end
setenv("EBROOTFOSS", root)
