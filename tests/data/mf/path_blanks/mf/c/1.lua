setenv(" S ", " v ")
