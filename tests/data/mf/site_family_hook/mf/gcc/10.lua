setenv('N','gcc/10')
