-- Commands and temporary directories.
local shell = {}

--- The sanitizers' library, or "": it is preloaded for the interpreter's sake; curl hangs under it, and others need it as
-- little.
shell.PRELOADED = os.getenv "LD_PRELOAD" or ""

shell.INTERPRETER = os.getenv "LUA" or "lua5.4"

--- What stands before a command that loads the module: the sanitizers' library, where they are on.
shell.PRELOAD = shell.PRELOADED ~= "" and "LD_PRELOAD=" .. shell.PRELOADED .. " " or ""

--- The interpreter, as words of a command.
shell.LUA = shell.PRELOAD .. shell.INTERPRETER

--- A word, quoted for sh.
function shell.quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- Starts a command. Gives a function that waits for its end and gives what it printed (stderr too), and its exit
-- status.
function shell.start(command)
  local pipe = assert(io.popen("unset LD_PRELOAD; { " .. command .. "\n} 2>&1", "r"))
  return function()
    local output = pipe:read "a"
    local _, _, status = pipe:close()
    return output, status
  end
end

--- Runs a command. Gives what it printed (stderr too), and its exit status.
function shell.run(command)
  return shell.start(command)()
end

--- Makes a directory for `body(path)` and removes it afterwards, whatever happens.
function shell.with_directory(body)
  local path = shell.run("mktemp -d"):gsub("%s+$", "")
  local results = table.pack(xpcall(body, debug.traceback, path))
  os.execute("rm -rf " .. shell.quote(path))
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

--- Writes a file.
function shell.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

--- Reads a file.
function shell.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- Runs a Lua script with the build tree's module, given what to write before the interpreter's name.
function shell.lua(script, environment)
  return shell.with_directory(function(directory)
    local path = directory .. "/script.lua"
    shell.write(path, script)
    return shell.run((environment or "") .. " " .. shell.LUA .. " " .. shell.quote(path))
  end)
end

return shell
