# the first line may be such
local root = os.getenv("HOME")
propT = {
   kind = { validT = { good = 1 }, displayT = {} },
   state = { validT = { new = 1 }, displayT = {} },
}
