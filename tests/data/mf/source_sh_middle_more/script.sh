export ONE=x:y:z
export TWO=a:a:b
export THREE=x:y:a:b:d
export FOUR=a:a:a:b:c
export NEW=a:b
