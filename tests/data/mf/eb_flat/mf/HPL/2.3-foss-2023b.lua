help([==[

Description
===========
HPL is a software package
]==])

whatis([==[Description: HPL]==])
whatis([==[Homepage: https://www.netlib.org/benchmark/hpl/]==])

local root = "/apps/software/HPL/2.3-foss-2023b"

conflict("HPL")

if not ( isloaded("foss/2023b") ) then
    load("foss/2023b")
end

prepend_path("CMAKE_PREFIX_PATH", root)
prepend_path("PATH", pathJoin(root, "bin"))
setenv("EBROOTHPL", root)
setenv("EBVERSIONHPL", "2.3")
setenv("EBDEVELHPL", pathJoin(root, "easybuild/HPL-2.3-foss-2023b-easybuild-devel"))
-- Built with EasyBuild version 4.9.0
