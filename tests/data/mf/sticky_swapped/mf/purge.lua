purge()
