setenv('LMOD_MODULERC', pathJoin(os.getenv('TOP'), 'rc.lua'))
