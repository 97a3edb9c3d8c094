function first_hook(t) append_path("ORDER", "first") end
function second_hook(t) append_path("ORDER", "second") end
