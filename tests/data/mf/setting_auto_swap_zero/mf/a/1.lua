family("f")
