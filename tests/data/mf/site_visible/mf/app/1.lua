setenv('APP','1')
