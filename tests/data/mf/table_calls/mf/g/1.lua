load{atleast("x","1"),"y"}
