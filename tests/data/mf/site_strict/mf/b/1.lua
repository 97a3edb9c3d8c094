write_it()
