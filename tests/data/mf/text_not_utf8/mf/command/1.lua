setenv("A", subprocess("printf \"\xe9\" | wc -c | tr -d \" \\n\""))
