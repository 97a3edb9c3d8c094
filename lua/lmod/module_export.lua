-- `module export …`, `module export-container …` and `ml export-container …` for Lmod 8.5.23 and later.
--
-- Loaded on every call of Lmod, from lmod_config.lua or SitePackage.lua (samples are beside this file).
-- If the first word is ours it prints one shell command, `/abs/module-export --argv-hex HEX ;`, and
-- ends; the shell that evaluates Lmod's output then runs the program as a command of its own, with the
-- user's terminal, LD_LIBRARY_PATH and exit status. HEX is the words joined by NUL: digits alone need no
-- quoting in any shell. Any other call passes through: nothing is read, changed or printed.

-- The installer puts the program's absolute path here.
local RECORDED = "@MODULE_EXPORT@"

-- Words that a shell's own `module` function puts before the user's, and how many words each takes.
local FROM_SHELL = {
   ["--protected_vars"] = 1,
   ["--no_redirect"] = 1,
   ["--redirect"] = 1,
   ["--old_style"] = 1,
   ["-q"] = 1,
   ["--localvar"] = 2,
}
-- What Lmod prints for these is no shell code.
local LANGUAGES = { python = true, perl = true, ruby = true, lisp = true, cmake = true, r = true, json = true }

-- Returns the place in `words` of our word, or nil if the call is not for us. In `ml` an unknown word
-- is a module to load, so there only the word that cannot be a module's name is ours.
local function our_place(words, is_ml)
   local place = 1
   while FROM_SHELL[words[place]] do
      place = place + FROM_SHELL[words[place]]
   end
   local word = words[place]
   if word == "export-container" or (word == "export" and not is_ml) then
      return place
   end
   return nil
end

-- Returns words[place], words[place + 1], … joined by NUL, as hexadecimal digits.
local function hex_of(words, place)
   local digits = {}
   for i = place, #words do
      local word = i > place and "\0" .. words[i] or words[i]
      for j = 1, #word do
         digits[#digits + 1] = string.format("%02x", word:byte(j))
      end
   end
   return table.concat(digits)
end

-- Returns who will evaluate what is printed: the word after the program's name. Lmod has taken it off
-- `arg`; the process's own command line still has it. nil if there is no such file.
local function evaluator_of(program)
   local cmdline = io.open("/proc/self/cmdline", "rb")
   if not cmdline then
      return nil
   end
   local text = cmdline:read("*a") or ""
   cmdline:close()
   local previous
   for word in text:gmatch("([^%z]*)%z") do
      if previous == program then
         return word:match("[^/]*$"):lower()
      end
      previous = word
   end
   return nil
end

-- Returns the first program that is there, or nil and the places searched.
local function find_program(here)
   local searched = {}
   for _, path in ipairs({ RECORDED, os.getenv("MODULE_EXPORT_BIN") or "", here .. "../../bin/module-export" }) do
      if path:sub(1, 1) == "/" then
         local file = io.open(path, "rb")
         if file then
            file:close()
            return path
         end
         searched[#searched + 1] = path
      end
   end
   return nil, searched
end

-- Tells the user why nothing can be run. `for_shell` makes the status of the shell's command say so too.
local function refuse(reason, for_shell)
   io.stderr:write("module export: ", reason, "\n")
   io.stdout:write(for_shell or "")
   io.stdout:flush()
   os.exit(1)
end

-- Returns the path as one word of any shell.
local function quoted(path)
   if path:find("^[%w/._+@%%:,=~-]+$") then
      return path
   end
   if path:find("['\\!\n]") then
      refuse("not every shell can be given this path: " .. path, "false ;\n")
   end
   return "'" .. path .. "'"
end

local function run(here)
   local words = rawget(_G, "arg") or {}
   local program = words[0] or ""
   local name = program:match("[^/]*$")
   local place = (name == "lmod" or name == "ml_cmd") and our_place(words, name == "ml_cmd")
   if not place then
      return
   end
   local evaluator = evaluator_of(program)
   if name == "lmod" and LANGUAGES[evaluator] then
      refuse(evaluator .. " cannot run what a shell would: call the program module-export itself")
   end
   local path, searched = find_program(here)
   if not path then
      refuse(
         "the program module-export is in none of: "
            .. table.concat(searched, ", ")
            .. " (MODULE_EXPORT_BIN may name it, as an absolute path)",
         "false ;\n"
      )
   end
   io.stdout:write(quoted(path), " --argv-hex ", hex_of(words, place), " ;\n")
   io.stdout:flush()
   os.exit(0)
end

-- A mistake here must never break `module` for everybody.
pcall(run, debug.getinfo(1, "S").source:match("^@(.*/)") or "")
