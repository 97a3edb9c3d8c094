family("comp")
family("two")
