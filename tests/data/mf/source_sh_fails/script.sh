export A=1
false
export B=1
