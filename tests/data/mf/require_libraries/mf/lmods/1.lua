for _, name in ipairs({ "strict", "utils", "fileOps", "string_utils", "Dbg", "lfs" }) do require(name) end
setenv("SWAP", require("Cosmic"):singleton():value("LMOD_AUTO_SWAP"))
