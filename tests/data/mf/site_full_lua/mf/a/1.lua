for i, v in ipairs(answers) do setenv("V" .. i, tostring(v)) end setenv("PIECE", piece_a .. piece_b)
