local hook = require("Hook")
if convertToCanonical(LmodVersion()) >= convertToCanonical("8.7.59") then
   hook.register("decorate_module", function(t)
      if t.name == "decorate" then
         return { "setenv('ADDED', '" .. t.version .. t.path:match("[^/]*$") .. #t.contents .. "')", "prepend_path('P','/a')" }
      end
      return {}
   end, "append")
end
