require("strict")
declared_here = nil
function read_it() return never_declared end
function write_it() late_global = 1 end
function read_declared() return declared_here == nil end
function safely() return pcall(read_it) end
sandbox_registration{ read_it = read_it, write_it = write_it, read_declared = read_declared, safely = safely }
