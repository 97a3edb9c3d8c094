if hide then
hide{ name = "always/2" }
hide{ name = "past/2", before = "2020-01-01" }
hide{ name = "future/2", after = "2099-12-31T12:00" }
hide{ name = "now/2", after = "2020-01-01T00:00", before = "2099-01-01" }
hide{ name = "me/2", userA = { "nobody", "root" } }
hide{ name = "others/2", userA = { "nobody" } }
hide{ name = "notme/2", notUserA = { "root" } }
hide{ name = "notothers/2", notUserA = { "nobody" } }
hide{ name = "group/2", groupA = { "root" } }
hide{ name = "notgroup/2", notGroupA = { "root" } }
hide{ name = { "two/2", "two/1" } }
hide{ name = "soft/2", kind = "soft" }
hide{ name = "both/2", userA = { "nobody" }, groupA = { "root" }, after = "2099-01-01" }
end
