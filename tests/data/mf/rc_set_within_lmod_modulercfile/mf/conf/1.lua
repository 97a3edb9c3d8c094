setenv('LMOD_MODULERCFILE', pathJoin(os.getenv('TOP'), 'rc.lua'))
