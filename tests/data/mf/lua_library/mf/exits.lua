local text, status = capture("echo hello; exit 4") setenv("A", tostring(status))
