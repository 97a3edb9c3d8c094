export Q="it's \"x\" \$HOME"
export E=
export EQ="a=b=c"
