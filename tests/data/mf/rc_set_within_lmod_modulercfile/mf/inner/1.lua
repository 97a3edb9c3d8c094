setenv('LMOD_MODULERCFILE', pathJoin(os.getenv('TOP'), 'rc.lua'))
load('x')
try_load('y')
