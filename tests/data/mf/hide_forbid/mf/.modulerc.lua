if hide then hide{name="x/2"} end
if forbid then forbid{name="y/2"} end
