setenv('M','1')
