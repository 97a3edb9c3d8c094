module_virtual("d/1.0", "d/.base")
module_virtual("d/2.0", "d/.base")
module_version("d/1.0", "default")
