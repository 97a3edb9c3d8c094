module_virtual("two/9", "a/.base")
