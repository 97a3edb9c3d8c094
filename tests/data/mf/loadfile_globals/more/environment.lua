made = known + 1
load("b")
