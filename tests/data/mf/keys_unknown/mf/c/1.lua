remove_path{"P", "/u", force=true}
