module_virtual("/1.0", ".base")
