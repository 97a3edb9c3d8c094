setenv('B','3')
