-- What Lmod adds to Lua's string library: modulefiles reach it as methods of strings.
local find, format, gmatch, gsub, lower = string.find, string.format, string.gmatch, string.gsub, string.lower
local match, sub, upper = string.match, string.sub, string.upper
local pack, unpack = table.pack, table.unpack

-- Escapes what is special in a pattern.
function string.escape(text)
    if text == nil then return nil end
    return (gsub(text, "[-.+%[%]()$^%%?*]", "%%%0"))
end

-- Iterates over the pieces of `text` between matches of `pattern`, each with what the pattern captures. The text is
-- handed to the iterator by the loop.
function string.split(text, pattern)
    local next_match = gmatch(text, "()(" .. (pattern or "%s+") .. ")")
    local from = 1
    return function(own)
        if not from then return nil end
        local found = pack(next_match())
        local at, separator = found[1], found[2]
        local piece = sub(own, from, at and at - 1 or -1)
        from = separator and at + #separator
        return piece, found[3] or separator, unpack(found, 4, found.n)
    end, text
end

function string.trim(text)
    return (match(text, "^%s*(.-)%s*$"))
end

function string.caseIndependent(text)
    local pieces = {}
    for letter in gmatch(text, ".") do
        if find(letter, "%a") then
            letter = "[" .. upper(letter) .. lower(letter) .. "]"
        elseif find(letter, "[-.+%[%]()$^%%?*]") then
            letter = "%" .. letter
        end
        pieces[#pieces + 1] = letter
    end
    return table.concat(pieces)
end

function string.multiEscaped(value)
    return (gsub(tostring(value), "[? \\\t{}|<>!;#^$&*\"'`()~%[%]]", "\\%0"))
end

function string.doubleQuoteString(value)
    if type(value) ~= "string" then return tostring(value) end
    return format("%q", value)
end

function string.atSymbolEscaped(text)
    return text and (gsub(text, "@", "\\@"))
end

function string.fillWords(text, indent, width)
    local lines, line, length = {}, indent, #indent
    for word in gmatch(text, "[^ \n]+") do
        if #word + length >= width then
            lines[#lines + 1] = string.trim(line)
            line, length = indent, #indent
        end
        line = line .. word .. " "
        length = length + #word + 1
    end
    lines[#lines + 1] = string.trim(line)
    return table.concat(lines, "\n")
end
