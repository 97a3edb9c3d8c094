setenv('b','1')
