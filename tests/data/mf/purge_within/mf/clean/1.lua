if purge then purge() end setenv("CLEAN","1")
