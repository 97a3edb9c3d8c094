prepend_path{"P", "/a", mode={"unload"}}
