module_version(5,"default")
