module_virtual("a/1.0", "a/.base")
module_virtual("a/2.0", "a/.base")
