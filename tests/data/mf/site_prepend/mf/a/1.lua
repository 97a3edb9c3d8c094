family("fam")
if here then here() end
