export FROM_SCRIPT="a b"
export P=/n:$P
