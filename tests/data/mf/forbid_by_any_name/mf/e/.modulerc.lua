module_version("e/1", "old")
forbid{name="e/old"}
