function from_one() return "one" end
