help([==[

Description
===========
The GNU Compiler Collection .. includes
]==])
whatis([==[Description: compilers]==])
local root = "/apps/GCCcore/13.2.0"
conflict("GCCcore")
prepend_path("CMAKE_LIBRARY_PATH", pathJoin(root, "lib64"))
prepend_path("PATH", pathJoin(root, "bin"))
setenv("EBROOTGCCCORE", root)
setenv("EBVERSIONGCCCORE", "13.2.0")
setenv("EBDEVELGCCCORE", pathJoin(root, "easybuild/GCCcore-13.2.0-easybuild-devel"))
-- Built with EasyBuild version 4.9.4
