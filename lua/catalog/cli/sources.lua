--- What is to be sent, as it is named on the command line: files, standard input, pipes.
-- @module catalog.cli.sources
local core = require "catalog.core"
local scheduler = require "catalog.scheduler.scheduler"

local sources = {}

-- How long the transfers under way may be without us while we wait for a pipe, milliseconds.
local PATIENCE <const> = 5

local function is_pipe(path) return path == "-" or core.fs.kind(path) == "pipe" end

-- The names on a command line that cannot be sent together, or with these options.
local function check_pipes(arguments, pipes)
  if #pipes == 0 then return nil end
  local inputs = 0
  for _, path in ipairs(pipes) do inputs = inputs + (path == "-" and 1 or 0) end
  if inputs > 1 then return "standard input (-) can be sent once" end
  -- before anything else is opened, and gets its number
  if inputs == 1 and not core.fs.kind "/dev/stdin" then return "standard input (-) is closed" end
  if inputs == 1 and core.system.isatty(0) then
    return "standard input (-) is a terminal; send it a file or another program's output"
  end
  local shown = pipes[1] == "-" and "standard input" or pipes[1]
  if arguments.journal then return ("--journal cannot go on with %s, which can be read once"):format(shown) end
  if arguments.split then return ("--split needs files whose size is known, and %s has none"):format(shown) end
end

--- What is wrong with the files that were named.
-- @tparam table arguments
-- @treturn ?string
function sources.check(arguments)
  local files, pipes = arguments.files, {}
  if arguments.name and #files ~= 1 then return ("--name is for one file, and there are %d"):format(#files) end
  for _, path in ipairs(files) do
    if is_pipe(path) then pipes[#pipes + 1] = path end
  end
  return check_pipes(arguments, pipes)
end

-- The name of a pipe in a batch: that of a descriptor, as of <(...), has no ending.
local function pipe_name(path, format)
  local base = path == "-" and "stdin" or path:match "[^/]*$"
  return base:find("%.%w+$") and base or base .. "." .. (format or "json")
end

--- The files that were named.
-- @tparam table arguments
-- @treturn {table,...} each `file` (a path), `name` in the batch, and `pipe` (true: it is read as it comes)
-- @treturn boolean whether there is a pipe among them
function sources.list(arguments)
  local list, any = {}, false
  for i, path in ipairs(arguments.files) do
    local pipe = is_pipe(path) or nil
    any = any or pipe ~= nil
    list[i] = {
      file = path, pipe = pipe,
      name = arguments.name or pipe and pipe_name(path, arguments.format) or path:match "[^/]*$",
    }
  end
  return list, any
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

--- Opens a pipe, and waits for its first bytes: one that has none is a mistake, and nothing is sent.
-- @tparam table item of the list
-- @treturn[1] function a reader, as for `catalog.batch:upload`
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function sources.open(item)
  local shown = item.file == "-" and "standard input" or item.file
  local pipe, err = core.pipe.open(item.file ~= "-" and item.file or nil)
  if not pipe then return nil, err end
  local read = reader_of(pipe, shown)
  local first = read()
  if not first then
    return nil, core.failure.new { kind = "data", message = shown .. " is empty; nothing was sent" }
  end
  return function()
    if not first then return read() end
    local chunk = first
    first = nil
    return chunk
  end
end

--- Opens all pipes of a list, before anything is sent.
-- @tparam {table,...} list
-- @treturn[1] boolean true; each pipe has its `reader`
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function sources.open_all(list)
  for _, item in ipairs(list) do
    local err
    if item.pipe then item.reader, err = sources.open(item) end
    if err then return nil, err end
  end
  return true
end

--- Uploads one of a list.
-- @tparam catalog.batch batch
-- @tparam table item
-- @tparam table arguments
-- @treturn[1] table `name`, `bytes`, `seconds`
-- @treturn[2] nil
-- @treturn[2] table error
function sources.upload(batch, item, arguments)
  return batch:upload(item.name, { file = not item.reader and item.file or nil, reader = item.reader }, {
    parallel = arguments.parallel, part_size = arguments.part_size, part_threshold = arguments.part_threshold,
  })
end

return sources
