module_virtual("many/1.9", "many/.base")
module_virtual("many/1.10", "many/.base")
hide{name="many/1.11", kind="hard"}
module_virtual("many/1.11", "many/.base")
