setenv('N','gcc/9')
