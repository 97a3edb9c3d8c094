family("compiler") echo("nine")
