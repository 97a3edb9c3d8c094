setenv('a','1')
