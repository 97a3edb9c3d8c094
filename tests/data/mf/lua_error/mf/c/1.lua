assert(false, "told you")
