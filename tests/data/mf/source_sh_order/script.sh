export ONE=b:a
export TWO=a:c:d
export THREE=x:b:y:a:z
