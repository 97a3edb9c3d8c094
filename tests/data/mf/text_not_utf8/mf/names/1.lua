setenv("A", tostring(os.getenv("\xe9")) .. tostring(isloaded("\xe9")) .. tostring(convertToCanonical("\xe9"):len()))
