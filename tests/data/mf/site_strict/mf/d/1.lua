setenv("D", tostring((safely())))
