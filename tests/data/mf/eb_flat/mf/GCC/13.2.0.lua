local root = "/apps/software/GCCcore/13.2.0"
conflict("GCC")
depends_on("GCCcore/13.2.0")
setenv("EBROOTGCC", root)
