hideRegex{name="a[", kind="hidden"}
