for i = 1, 100 do
   load("c")
end
