
export NEW="new $1"
export P="/front:$P:/back"
export Q=/changed
export SAME="$SAME"
unset GONE
export PATH=/s/bin:$PATH
export LD_LIBRARY_PATH=/s/lib:$LD_LIBRARY_PATH
NOT_EXPORTED=1
