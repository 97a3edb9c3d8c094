if protected_getenv then setenv("A", tostring(protected_getenv("USER")) .. tostring(protected_getenv("NONE"))) end
