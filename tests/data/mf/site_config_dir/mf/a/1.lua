if here then here() end
