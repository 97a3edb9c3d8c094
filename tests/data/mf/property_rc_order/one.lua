propT = { kind = { validT = { one = 1 }, displayT = {} } }
