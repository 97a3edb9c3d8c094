#!/usr/bin/lua
setenv("A", "1")
