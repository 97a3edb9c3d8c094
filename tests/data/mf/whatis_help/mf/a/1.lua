help([==[
Description
]==])
whatis([==[Description: x]==])
whatis("Homepage: y")
extensions("a/1,b/2")
setenv("A","1")
color_banner("red")
setenv("COL", colorize("red","text"))
