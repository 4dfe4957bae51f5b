--- What is to be sent, as it is named on the command line: files, standard input, pipes.
-- @module catalog.cli.sources
local core = require "catalog.core"
local format = require "catalog.ingest.format"
local failure = require "catalog.base.failure"
local scheduler = require "catalog.scheduler.scheduler"

local sources = {}

-- How long the transfers under way may be without us while we wait for a pipe, milliseconds.
local PATIENCE <const> = 5

local function is_pipe(path) return path == "-" or core.fs.kind(path) == "pipe" end

--- What is wrong with standard input where it is named; known before anything else is opened, and gets its number.
-- @tparam {string,...} files
-- @treturn ?string
function sources.check_input(files)
  local inputs = 0
  for _, path in ipairs(files) do inputs = inputs + (path == "-" and 1 or 0) end
  if inputs == 0 then return nil end
  if inputs > 1 then return "standard input (-) can be read once" end
  if not core.fs.kind "/dev/stdin" then return "standard input (-) is closed" end
  if core.system.isatty(0) then
    return "standard input (-) is a terminal; send it a file or another program's output"
  end
end

-- The names on a command line that cannot be sent together, or with these options.
local function check_pipes(arguments, pipes)
  if #pipes == 0 then return nil end
  local unfit = sources.check_input(pipes)
  if unfit then return unfit end
  local shown = pipes[1] == "-" and "standard input" or pipes[1]
  if arguments.journal then return ("--journal cannot go on with %s, which can be read once"):format(shown) end
  if arguments.adopt then return ("--adopt cannot go on with %s, which can be read once"):format(shown) end
  if arguments.split then return ("--split needs files whose size is known, and %s has none"):format(shown) end
end

local function base_name(path) return path == "-" and "stdin" or path:match "[^/]*$" end

-- A path as a name: without what makes no difference, and without the slash at its beginning.
local function relative_name(path) return (path:gsub("/+%./", "/"):gsub("/+", "/"):gsub("^%./", ""):gsub("^/", "")) end

-- The name in the batch of what was named on the command line.
local function name_of(arguments, path)
  if arguments.name then return arguments.name end
  return arguments.relative and path ~= "-" and relative_name(path) or base_name(path)
end

-- What can be done about two of one name.
local TWO_WAYS <const> = "give --relative, by which they keep their directories, or send them one by one with --name"

-- Two of one name, which would replace each other; nil: there are none.
local function check_names(arguments)
  local seen = {}
  for _, path in ipairs(arguments.files) do
    local name = name_of(arguments, path)
    if arguments.relative and ("/" .. name .. "/"):find "/%.%./" then
      return ("--relative: %s has .. in it, which no name may have"):format(path)
    end
    if seen[name] then
      return ("%s and %s would both be %s in the batch; %s"):format(seen[name], path, name,
        arguments.relative and "name each once" or TWO_WAYS)
    end
    seen[name] = path
  end
end

--- What is wrong with the files that were named.
-- @tparam table arguments
-- @treturn ?string
function sources.check(arguments)
  local files, pipes = arguments.files, {}
  if arguments.name and #files ~= 1 then return ("--name is for one file, and there are %d"):format(#files) end
  if arguments.name and arguments.relative then return "give --name or --relative, not both" end
  for _, path in ipairs(files) do
    if is_pipe(path) then pipes[#pipes + 1] = path end
  end
  return check_pipes(arguments, pipes) or check_names(arguments)
end

--- The files that were named.
-- @tparam table arguments
-- @treturn {table,...} each `file` (a path), `name` in the batch, and `pipe` (true: it is read as it comes); a pipe's
--   `default` format
-- @treturn boolean whether there is a pipe among them
function sources.list(arguments)
  local list, any = {}, false
  for i, path in ipairs(arguments.files) do
    local pipe = is_pipe(path) or nil
    any = any or pipe ~= nil
    list[i] = { file = path, pipe = pipe, default = pipe and "json", name = name_of(arguments, path) }
  end
  return list, any
end

--- Gives names an ending where they have none: that of a descriptor, as of <(...), is a number.
-- @tparam {table,...} list
-- @tparam table arguments
-- @tparam string ending the format of the batch
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`: two have one name now
function sources.name_pipes(list, arguments, ending)
  local seen = {}
  for _, item in ipairs(list) do
    if item.pipe and not arguments.name and not item.name:find "%.%w+$" then item.name = item.name .. "." .. ending end
    if seen[item.name] then
      return failure("data", "%s and %s would both be %s in the batch; nothing was sent", seen[item.name], item.file,
        item.name)
    end
    seen[item.name] = item.file
  end
  return true
end

-- A function that gives what comes, and nil at the end. Meanwhile transfers go on.
local function reader_of(pipe, shown)
  return function()
    while true do
      local chunk, err = pipe:read(PATIENCE)
      if err then
        err.message = shown .. " " .. err.message
        error(err, 0)
      end
      if chunk ~= "" then return chunk end
      scheduler.poke()
    end
  end
end

-- Opens a pipe, and waits for its first bytes: one that has none is a mistake, and nothing is sent.
local function open_pipe(item)
  if not item.pipe then return true end
  local shown = item.file == "-" and "standard input" or item.file
  local pipe, err = core.pipe.open(item.file ~= "-" and item.file or nil)
  if not pipe then return nil, err end
  local read = reader_of(pipe, shown)
  local first = read()
  if not first then return failure("data", "%s is empty; nothing was sent", shown) end
  item.file = shown
  format.look(item, first)
  item.reader = function()
    if not first then return read() end
    local chunk = first
    first = nil
    return chunk
  end
  return true
end

local function look_at_file(item)
  if item.pipe then return true end
  local bytes, err, beginning = core.file.look(item.file, false, true)
  if not bytes then return nil, err end
  if bytes == 0 then return format.empty(item.file) end
  format.look(item, beginning)
  return true
end

--- Looks at all files of a list and opens all its pipes, before anything is sent. What is there already comes first: a
-- pipe is waited for.
-- @tparam {table,...} list
-- @treturn[1] boolean true; each was looked at (`catalog.ingest.format`), and a pipe has its `reader`
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function sources.prepare(list)
  for _, make_ready in ipairs { look_at_file, open_pipe } do
    for _, item in ipairs(list) do
      local ok, err = make_ready(item)
      if not ok then return nil, err end
    end
  end
  return true
end

-- Whether the endings of the names say a batch's format, or none.
local function check_endings(batch, list, wanted)
  for _, item in ipairs(list) do
    local found = format.of_path(item.name)
    if found and found ~= wanted then
      return failure("data", "the ending of %s says %s, and the batch %s is of the format %s; create one with"
        .. " --format %s, or give it a --name that ends otherwise", item.name, found, batch.id, wanted, found)
    end
  end
  return true
end

--- Checks that files fit a batch, as far as the endings of their names and how they begin tell.
-- @tparam catalog.batch batch as the catalog shows it
-- @tparam {table,...} list
-- @tparam table input the `inputFormat` of the batch
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function sources.check_format(batch, list, input)
  local ok, unfit = check_endings(batch, list, input.format)
  if not ok then return nil, unfit end
  ok, unfit = format.check({ format = input.format, multiline = input.isMultiLineJson == true }, list)
  if not ok then unfit.message = unfit.message:gsub("; give multiline", "; create a batch with multiline") end
  return ok, unfit
end

--- Uploads one of a list.
-- @tparam catalog.batch batch
-- @tparam table item
-- @tparam table arguments
-- @param count a function that is told how many bytes were read of a pipe each time; false or nil: nobody is
-- @treturn[1] table `name`, `bytes`, `seconds`
-- @treturn[2] nil
-- @treturn[2] table error
function sources.upload(batch, item, arguments, count)
  local read = item.reader
  local function counted()
    local chunk = read()
    if count and chunk then count(#chunk) end
    return chunk
  end
  return batch:upload(item.name, { file = not read and item.file or nil, reader = read and counted }, {
    parallel = arguments.parallel, part_size = arguments.part_size, part_threshold = arguments.part_threshold,
  })
end

return sources
