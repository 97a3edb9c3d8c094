setenv('APP','2')
