setenv('G','1')
