-- What Lmod adds to Lua's string library: modulefiles reach it as methods of strings.

-- Escapes what is special in a pattern.
function string.escape(text)
    if text == nil then return nil end
    return (text:gsub("[-.+%[%]()$^%%?*]", "%%%0"))
end

-- Iterates over the pieces of `text` between matches of `pattern`.
function string.split(text, pattern)
    pattern = pattern or "%s+"
    local position = 1
    return function()
        if not position then return nil end
        local from, to = text:find(pattern, position)
        local piece
        if from and to >= from then
            piece = text:sub(position, from - 1)
            position = to + 1
        else
            piece = text:sub(position)
            position = nil
        end
        return piece
    end, text
end

function string.trim(text)
    return (text:match("^%s*(.-)%s*$"))
end

function string.caseIndependent(text)
    local pieces = {}
    for letter in text:gmatch(".") do
        if letter:find("%a") then
            letter = "[" .. letter:upper() .. letter:lower() .. "]"
        elseif letter:find("[-.+%[%]()$^%%?*]") then
            letter = "%" .. letter
        end
        pieces[#pieces + 1] = letter
    end
    return table.concat(pieces)
end

function string.multiEscaped(value)
    return (tostring(value):gsub("[? \\\t{}|<>!;#^$&*\"'`()~%[%]]", "\\%0"))
end

function string.doubleQuoteString(value)
    if type(value) ~= "string" then return tostring(value) end
    return ("%q"):format(value)
end

function string.atSymbolEscaped(text)
    return text and (text:gsub("@", "\\@"))
end

function string.fillWords(text, indent, width)
    local lines, line, length = {}, indent, #indent
    for word in text:gmatch("[^ \n]+") do
        if #word + length >= width then
            lines[#lines + 1] = line:trim()
            line, length = indent, #indent
        end
        line = line .. word .. " "
        length = length + #word + 1
    end
    lines[#lines + 1] = line:trim()
    return table.concat(lines, "\n")
end
