propT = {
   arch = { validT = { gpu = 1 }, displayT = { gpu = { short = "(g)", color = "red", doc = "built for GPU" } } },
}
scDescriptT = {
   { ["dir"] = "@SOFTWARE@/.lmod/cache", ["timestamp"] = "@SOFTWARE@/.lmod/cache/timestamp" },
}
