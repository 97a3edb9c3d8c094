module_virtual("b/1.0", "b/.base")
module_virtual("b/2.0", "b/.base")
hide_version("b/2.0")
