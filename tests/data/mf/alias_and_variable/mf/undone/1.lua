setenv("foo","1") unset_alias("foo") setenv("old","2") unset_shell_function(" old ")
