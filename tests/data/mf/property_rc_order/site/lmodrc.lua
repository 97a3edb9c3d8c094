propT = { kind = { validT = { three = 1 }, displayT = {} }, place = { validT = { here = 1 }, displayT = {} } }
