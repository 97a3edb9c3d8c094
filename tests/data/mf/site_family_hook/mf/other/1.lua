setenv('N','other/1')
