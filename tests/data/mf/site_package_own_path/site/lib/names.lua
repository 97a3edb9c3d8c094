return { value = "named" }
