family("my-family")
