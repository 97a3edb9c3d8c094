setenv('A','2')
