module_version("x/1", "de" .. "fault")
