setenv('X','3')
