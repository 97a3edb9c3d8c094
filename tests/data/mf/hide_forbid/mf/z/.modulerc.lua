if forbid then forbid{name="z/1"} end
