setenv('c','1')
