family("compiler")
