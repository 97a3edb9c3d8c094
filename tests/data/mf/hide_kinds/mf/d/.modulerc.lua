hide{name="d/.1", before="2001-01-01"}
