if export_shell_function then set_shell_function("f","echo hi","echo hi") end setenv("A", type(export_shell_function))
