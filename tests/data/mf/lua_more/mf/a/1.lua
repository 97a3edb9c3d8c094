local version = "4.2"
local major = tonumber(version:match("^(%d+)"))
setenv("NEXT", major + 1)
setenv("PATHS", pathJoin("/apps", "v" .. major * 2 / 2))
prepend_path{ "P", "/a", priority = 20 / 2 }
append_path("Q", "/x/" .. major .. "." .. 10 % 4)
setenv("CMP", tostring(convertToCanonical("1.10") > convertToCanonical("1.9")))
setenv("LEN", #"four" / 2)
setenv("TIME", os.date("%Y", 86400 * 365))
setenv("SPLIT", (function() local t = {} for w in ("a:b:c"):split(":") do t[#t + 1] = w .. #t end return table.concat(t, "/") end)())
setenv("LOOP", (function() local s = "" for i = 1, 2, 0.5 do s = s .. i .. "," end return s end)())
setenv("STR", ("%s-%s"):format(1, 2.5) .. ("%03d"):format(7) .. ("%.2f"):format(1 / 3) .. ("%q"):format("x"))
setenv("MAXN", math.max(1.5, 2) .. math.min(3, 2) .. math.ceil(1.2))
