for i = 1, 501 do
   load("c")
end
