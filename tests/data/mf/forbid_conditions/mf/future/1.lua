setenv('V','1')
