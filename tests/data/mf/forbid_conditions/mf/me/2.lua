setenv('V','2')
