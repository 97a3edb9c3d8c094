local function requires_group(group)
   local found = false
   local is_root = tonumber(capture("id -u")) == 0
   for name in capture("groups"):split("[ \n]") do
      if name == group then found = true end
   end
   if not found then LmodError("only for ", group, is_root and "" or "!") end
end
sandbox_registration{ ["required_group"] = requires_group }
