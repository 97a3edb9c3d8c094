module_version("/1","nick","default")
