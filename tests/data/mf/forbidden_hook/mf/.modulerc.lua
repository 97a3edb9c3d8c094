if forbid then
forbid{ name = "a/1" }
forbid{ name = "b/1" }
forbid{ name = "c/1", before = "2020-01-01" }
end
