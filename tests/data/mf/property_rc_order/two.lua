propT = { kind = { validT = { two = 1 }, displayT = {} } }
