set_shell_function("1a","bar","x")
