module_version("/2","nick")
