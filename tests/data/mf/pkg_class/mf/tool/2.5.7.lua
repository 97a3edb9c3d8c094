local pkg = Pkg:new{ Category = "tools", Description = "a tool", display_name = "Tool", level = 0, help = "text" }
setenv("TOOL_BASE", pkg:pkgBase())
setenv("TOOL_MODULES", pkg:moduleDir())
setenv("TOOL_NAMES", pkg:pkgName() .. "," .. pkg:pkgDisplayName() .. "," .. pkg:pkgVersion())
setenv("TOOL_CLASS", pkg:name())
