setenv('MODULERCFILE', pathJoin(os.getenv('TOP'), 'rc.lua'))
