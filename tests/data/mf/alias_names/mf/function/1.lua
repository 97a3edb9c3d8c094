set_shell_function("a b","bar","bar")
