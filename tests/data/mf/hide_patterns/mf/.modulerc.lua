hideRegex{name="^a/2", kind="hidden"}
hideRegex{name="^b/2"}
forbidRegex{name="^c/%d%.0$"}
hide{name="e/2.0", kind="soft"}
hideRegex{name="^e", kind="hard"}
