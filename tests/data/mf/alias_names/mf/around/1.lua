set_alias(" a ","bar")
