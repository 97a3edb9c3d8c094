setenv("B", tostring(shared))
setenv("OWN", tostring(own))
