family("comp")
