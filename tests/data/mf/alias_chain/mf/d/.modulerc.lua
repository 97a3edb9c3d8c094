module_alias("/al","d/1")
