append_path("P","/one")
inherit()
append_path("P","/one/end")
