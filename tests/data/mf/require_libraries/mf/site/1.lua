setenv("V", require("helper").v)
setenv("S", tostring(package.loaded.helper == require("helper")))
