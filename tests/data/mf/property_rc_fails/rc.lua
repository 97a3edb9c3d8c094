propT = { kind = { validT = { one = 1 } } }
nothing_like_this()
