setenv
("A","1")
