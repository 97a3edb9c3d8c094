setenv("B", tostring(isloaded("b")))
setenv("P", tostring(isPending("b")))
