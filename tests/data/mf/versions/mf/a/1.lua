
setenv("V", LmodVersion())
for i, v in ipairs{"1.2.3","2.0","2.0rc1","1.10-dev","4.8-p2","2024a","","v1.2",".5","1.2.0.0","1_2+3","7.0b","10..2","1.2-3","pre1","1.","a/b/1"} do
  setenv("C" .. i, convertToCanonical(v))
end
setenv("CMP", tostring(convertToCanonical("8.6.19") > convertToCanonical("8.6.2")))
