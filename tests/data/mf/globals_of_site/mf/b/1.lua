state.x = "from b"
