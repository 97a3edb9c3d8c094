setenv("A", one() .. two .. three .. tostring(missing) .. failed)
