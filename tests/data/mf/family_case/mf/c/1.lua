family("Mixed")
