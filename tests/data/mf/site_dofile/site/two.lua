return "two " .. tostring((...))
