setenv("IN",tostring(isPending("x"))..tostring(isPending("m"))..tostring(isloaded("m")))
