local t = setmetatable({}, {})
