set_alias("ll","ls -l")
set_shell_function("fn","echo hi","echo hi")
complete("bash","cmd","-W 'a b'")
setenv("A","1")
