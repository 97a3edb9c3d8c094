setenv('B','2')
