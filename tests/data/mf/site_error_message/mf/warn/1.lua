LmodMessage("well") setenv("W","1")
