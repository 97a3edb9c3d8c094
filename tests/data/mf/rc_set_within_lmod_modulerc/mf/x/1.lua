setenv('X','1')
