if forbid then
forbid{ name = "always/2", message = "no longer" }
forbid{ name = "past/2", before = "2020-01-01" }
forbid{ name = "future/2", after = "2099-12-31T12:00", nearly_message = "soon" }
forbid{ name = "soon/2", before = "2099-12-31" }
forbid{ name = "me/2", userA = { "nobody", "root" } }
forbid{ name = "others/2", userA = { "nobody" } }
forbid{ name = "group/2", groupA = { "root" } }
forbid{ name = "notgroup/2", notGroupA = { "root" } }
end
