requireFullName()
