setenv("A", tostring(os.getenv("\xe9")) .. tostring(isloaded("\xe9")) .. type(convertToCanonical("\xe9")))
