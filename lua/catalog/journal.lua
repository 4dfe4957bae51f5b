--- What has become of an ingest so far, on disk: which batch, which files, which parts. An append-only file of JSON
-- lines; what it says, the service has acknowledged.
-- @module catalog.journal
local core = require "catalog.core"
local failure = require "catalog.failure"

local journal = {}

local Journal = { __name = "catalog.journal" }
Journal.__index = Journal

-- How long the note of a part may stay in memory of the system only, in seconds. Were it lost, the part is sent again.
local SYNC_EVERY <const> = 1

local function is_text(value) return type(value) == "string" and value ~= "" end

local function is_count(value) return math.type(value) == "integer" and value >= 0 end

local function is_index(value) return math.type(value) == "integer" and value >= 1 end

-- Far beyond what one call can have: all numbers up to that of a group are gone through.
local MOST_GROUPS <const> = 1000000

local function is_group(value) return is_index(value) and value <= MOST_GROUPS end

local function group_of(state, number)
  local group = state.groups[number]
  if not group then
    group = { dropped = {} }
    state.groups[number] = group
  end
  return group
end

local function forget_progress(state, number)
  for _, file in pairs(state.files) do
    if file.group == number then file.part_size, file.parts, file.done = nil, {}, nil end
  end
end

-- What each line says: the fields it must have, and what it does to the state. Events about a file need it to be known.
local EVENTS <const> = {
  -- the call: a new journal begins
  run = {
    fields = { base_url = is_text, org = is_text, sandbox = is_text, dataset = is_text, options = is_text },
    note = function(state, line) state.run, state.files, state.groups, state.ready = line, {}, {}, nil end,
  },
  file = {
    fields = { group = is_group, name = is_text, bytes = is_count, fingerprint = is_text },
    note = function(state, line)
      state.files[line.name] = { group = line.group, bytes = line.bytes, fingerprint = line.fingerprint, parts = {} }
    end,
  },
  -- all files are named: before this nothing was created
  ready = { fields = {}, note = function(state) state.ready = true end },
  -- a batch is about to be created
  create = {
    fields = { group = is_group, external_id = is_text },
    note = function(state, line) group_of(state, line.group).external_id = line.external_id end,
  },
  -- that creation was refused: nothing was created
  refused = {
    fields = { group = is_group }, note = function(state, line) group_of(state, line.group).external_id = nil end,
  },
  batch = {
    fields = { group = is_group, id = is_text },
    note = function(state, line) group_of(state, line.group).id = line.id end,
  },
  -- a large file is about to be begun, in parts of this size
  begin = {
    fields = { name = is_text, part_size = is_index }, of_file = true,
    note = function(file, line) file.part_size, file.parts = line.part_size, {} end,
  },
  part = {
    fields = { name = is_text, first = is_count, last = is_count }, of_file = true,
    note = function(file, line) file.parts[line.first] = line.last end,
  },
  done = { fields = { name = is_text }, of_file = true, note = function(file) file.done = true end },
  -- the batch is about to be completed; it came to an end
  complete = {
    fields = { group = is_group }, note = function(state, line) group_of(state, line.group).completing = true end,
  },
  ["end"] = {
    fields = { group = is_group, status = is_text },
    note = function(state, line) group_of(state, line.group).ended = line.status end,
  },
  -- the batch is of no more use, and another takes its place
  drop = {
    fields = { group = is_group, id = is_text, status = is_text },
    note = function(state, line)
      local dropped = group_of(state, line.group).dropped
      dropped[#dropped + 1] = { id = line.id, status = line.status }
      state.groups[line.group] = { dropped = dropped }
      forget_progress(state, line.group)
    end,
  },
}

-- Takes note of one line. False: it is none of a journal's.
local function note(state, line)
  local event = type(line) == "table" and EVENTS[line.event]
  if not event or not state.run and line.event ~= "run" then return false end
  for name, fits in pairs(event.fields) do
    if not fits(line[name]) then return false end
  end
  local subject = state
  if event.of_file then subject = state.files[line.name] end
  if not subject then return false end
  event.note(subject, line)
  return true
end

--- Reads the text of a journal.
-- @tparam string text lines of JSON; a last one without its newline is left out
-- @treturn[1] table what is known: `run`, `files` (name -> `group`, `bytes`, `fingerprint`, `part_size`, `parts`,
--   `done`), `groups` (each `external_id`, `id`, `completing`, `ended`, `dropped`), `ready` (all files are named)
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`, with the number of the line that cannot be understood
function journal.read(text)
  local state, number = { files = {}, groups = {} }, 0
  for line in text:gmatch "([^\n]*)\n" do
    number = number + 1
    if not note(state, core.json.decode(line)) then
      return failure("data", "line %d is not one of a journal's; is it the right file?", number)
    end
  end
  return state
end

local function is_same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not is_same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function is_same_run(state, run)
  local was = state.run
  for _, what in ipairs {
    { "dataset", "dataset" }, { "sandbox", "sandbox" }, { "org", "organisation" }, { "base_url", "service" },
  } do
    local field, name = what[1], what[2]
    if was[field] ~= run[field] then
      return failure("data", "it is of the %s %s, and this call is for %s", name, was[field], run[field])
    end
  end
  if not is_same(core.json.decode(was.options), core.json.decode(run.options)) then
    return failure("data", "its batch has the options %s, and this call's has %s", was.options, run.options)
  end
  return true
end

local function is_same_file(known, item)
  if not known then return failure("data", "it does not have the file %s", item.name) end
  if known.bytes ~= item.bytes then
    return failure("data", "%s had %d bytes, and has %d now", item.name, known.bytes, item.bytes)
  end
  if known.fingerprint ~= item.fingerprint then
    return failure("data", "%s was changed since (time of the change, or its content)", item.name)
  end
  return true
end

local function are_same_files(state, files)
  local given = {}
  for _, item in ipairs(files) do
    given[item.name] = true
    local ok, err = is_same_file(state.files[item.name], item)
    if not ok then return nil, err end
  end
  for name in pairs(state.files) do
    if not given[name] then return failure("data", "it has the file %s, which this call does not name", name) end
  end
  return true
end

-- How every journal begins: the first line's event comes first.
local OPENING <const> = '{"event":"run",'

local function encode(line)
  local fields = {}
  for name, value in pairs(line) do fields[name] = value end
  fields.event = nil
  local text, err = core.json.encode(fields)
  if not text then return nil, err end
  local event = ('{"event":%q'):format(line.event)
  return (next(fields) and event .. "," .. text:sub(2) or event .. "}") .. "\n"
end

-- Whether a file without a whole line may be written over: there is nothing, or what a crash has left of a journal.
local function is_beginning(torn)
  return torn:sub(1, #OPENING) == OPENING:sub(1, #torn) or not torn:find "[^%z]"
end

-- The first lines: what the call is, and the files.
local function head_of(run, groups)
  local lines = { { event = "run" } }
  for name, value in pairs(run) do lines[1][name] = value end
  for number, group in ipairs(groups) do
    for _, item in ipairs(group.files) do
      lines[#lines + 1] = {
        event = "file", group = number, name = item.name, bytes = item.bytes, fingerprint = item.fingerprint,
      }
    end
  end
  lines[#lines + 1] = { event = "ready" }
  for i, line in ipairs(lines) do
    local text, err = encode(line)
    if not text then return nil, err end
    lines[i] = text
  end
  return table.concat(lines)
end

local function begin(file, state, run, groups)
  local head, unfit = head_of(run, groups)
  if not head then return nil, unfit end
  local ok, err = file:append(head, true)
  if not ok then return nil, err end
  for line in head:gmatch "[^\n]+" do note(state, core.json.decode(line)) end
  return true
end

--- Opens the journal of a call, which nobody else has then.
-- @tparam string path
-- @tparam table run what the call is: `base_url`, `org`, `sandbox`, `dataset`, `options` (JSON: what creates a batch)
-- @tparam {table,...} groups of files, one for each batch: `files`, each with `name`, `bytes`, `fingerprint`
-- @treturn[1] journal `resumed`: it is that of an earlier run of the same call
-- @treturn[2] nil
-- @treturn[2] table error: of kind `config` when it cannot be used, `data` when it is of another call
function journal.open(path, run, groups)
  local file, text, torn = core.journal.open(path)
  if not file then return nil, text end
  local state, err = journal.read(text)
  local ok = state ~= nil
  if ok and text == "" and not is_beginning(torn) then
    ok, err = failure("data", "its first line is not one of a journal's; is it the right file?")
  end
  local resumed = ok and state.ready
  if resumed then
    local files = {}
    for _, group in ipairs(groups) do table.move(group.files, 1, #group.files, #files + 1, files) end
    ok, err = is_same_run(state, run)
    if ok then ok, err = are_same_files(state, files) end
  elseif ok then
    ok, err = begin(file, state, run, groups)
  end
  if not ok then
    file:close()
    if err.kind == "data" then err.message = ("the journal %s cannot be gone on with: %s"):format(path, err.message) end
    return nil, err
  end
  return setmetatable({ file = file, state = state, resumed = resumed or false, synced = 0 }, Journal)
end

--- The group that a file was put into.
-- @tparam string name
-- @treturn integer
function Journal:group(name)
  return self.state.files[name].group
end

--- What is known of the batch of a group.
-- @tparam integer number
-- @treturn table `external_id`, `id`, `completing`, `ended`, `dropped`
function Journal:batch(number)
  return group_of(self.state, number)
end

--- The batches that were of no more use, and whose files went into others, over all runs.
-- @tparam integer count of groups
-- @treturn {table,...} `id`, `status`
function Journal:dropped(count)
  local list = {}
  for number = 1, count do
    local dropped = self:batch(number).dropped
    table.move(dropped, 1, #dropped, #list + 1, list)
  end
  return list
end

--- How far a file is.
-- @tparam string name
-- @treturn table `done`; `part_size` when it goes in parts, and the `parts` that have arrived: first byte -> last
function Journal:progress(name)
  return self.state.files[name]
end

-- Events after which nothing may go on before they are on disk; the others may be lost at no cost but time.
local LASTING <const> = {
  create = true, refused = true, batch = true, begin = true, complete = true, ["end"] = true, drop = true,
}

--- Takes note of what happened, or is about to.
-- @tparam table line its `event`, and the event's fields
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`: it cannot be written
function Journal:note(line)
  local text, unfit = encode(line)
  if not text then return nil, unfit end
  local now = core.system.monotonic()
  local durable = LASTING[line.event] or now - self.synced >= SYNC_EVERY
  local ok, err = self.file:append(text, durable)
  if not ok then return nil, err end
  if durable then self.synced = now end
  note(self.state, line)
  return true
end

--- Lets go of the file.
function Journal:close()
  self.file:close()
end

Journal.__close = Journal.close

return journal
