setenv('APP','3-2023b')
