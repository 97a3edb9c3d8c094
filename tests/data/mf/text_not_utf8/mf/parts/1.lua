setenv("A", dirname("/opt/caf\xe9/x"):len() .. extname("/a.\xe9"):len() .. removeExt("/\xe9.b"):len() .. barefilename("/a/\xe9b"):len())
