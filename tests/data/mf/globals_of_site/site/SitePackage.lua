open_secret = "global"
function helper() return "helped" .. tostring(kept) end
kept = nil
sandbox_registration{ helper = helper, state = {} }
