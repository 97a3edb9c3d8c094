setenv("A", "\x41\065\z b")
