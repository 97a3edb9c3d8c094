unsetenv(nil)
