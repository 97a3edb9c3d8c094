setenv('B','1')
