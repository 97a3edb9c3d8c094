setenv('X','2')
