family("compiler") echo("ten")
