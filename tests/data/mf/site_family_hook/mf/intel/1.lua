setenv('N','intel/1')
