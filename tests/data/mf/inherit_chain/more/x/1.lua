append_path("P","/two")
inherit()
