inherit()
