remove_path("P", "/a:/c:/nowhere")
remove_path{"P", "/d", priority=10}
