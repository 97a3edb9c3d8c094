append_path{"P", "/a", force=true}
