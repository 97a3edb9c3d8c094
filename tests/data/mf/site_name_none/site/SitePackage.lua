require("Hook").register("SiteName", function() return nil end)
