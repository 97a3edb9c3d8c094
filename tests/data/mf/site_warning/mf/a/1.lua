setenv('A','1')
