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

local function base_name(path) return path == "-" and "stdin" or path:match "[^/]*$" end

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
    list[i] = { file = path, pipe = pipe, default = pipe and "json", name = arguments.name or base_name(path) }
  end
  return list, any
end

--- Gives names an ending where they have none: that of a descriptor, as of <(...), is a number.
-- @tparam {table,...} list
-- @tparam table arguments
-- @tparam string ending the format of the batch
function sources.name_pipes(list, arguments, ending)
  for _, item in ipairs(list) do
    if item.pipe and not arguments.name and not item.name:find "%.%w+$" then item.name = item.name .. "." .. ending end
  end
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
  item.file, item.is_array = shown, format.is_array(first)
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
  item.is_array = format.is_array(beginning)
  return true
end

--- Looks at all files of a list and opens all its pipes, before anything is sent. What is there already comes first: a
-- pipe is waited for.
-- @tparam {table,...} list
-- @treturn[1] boolean true; each has `is_array`, and a pipe its `reader`
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

--- Checks that files are of the format of a batch, as far as the endings of their names tell.
-- @tparam catalog.batch batch
-- @tparam {table,...} list
-- @tparam string wanted the format
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`
function sources.check_format(batch, list, wanted)
  for _, item in ipairs(list) do
    local found = format.of_path(item.name)
    if found and found ~= wanted then
      return failure("data", "the ending of %s says %s, and the batch %s is of the format %s; create one with"
        .. " --format %s, or give it a --name that ends otherwise", item.name, found, batch.id, wanted, found)
    end
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
