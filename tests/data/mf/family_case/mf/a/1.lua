family("Comp Iler")
