setenv("foo","1") set_shell_function("foo","echo","echo")
