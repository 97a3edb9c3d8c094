setenv('M','2')
