export ONE=x:y
export TWO=x:a:c
export THREE=x:a:b:c:y:z
export EMPTY=x:y
