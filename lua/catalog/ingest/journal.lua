--- What has become of an ingest so far, on disk: which batch, which files, which parts. An append-only file of JSON
-- lines, each with a checksum; what it says, the service has acknowledged.
-- @module catalog.ingest.journal
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local line = require "catalog.ingest.journal_line"
local random = require "catalog.base.random"

local journal = {}

local encode <const>, monotonic <const> = line.encode, core.system.monotonic

-- How long the note of a part may stay in memory of the system only, in seconds. Were it lost, the part is sent again.
local SYNC_EVERY <const> = 1

-- What is said of a file that is somebody's, and no journal: nobody is told to remove it.
local NO_JOURNAL <const> = "is not one of a journal's; is it the right file?"

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
    if file.group == number then file.part_size, file.parts, file.done = nil, nil, nil end
  end
end

-- What each line says: the fields it must have, and what it does to the state. Events about a file need it to be known.
local EVENTS <const> = {
  -- the call: a new journal begins. `seed`, which journals of before lack, makes the external ids of its batches
  run = {
    fields = { base_url = is_text, org = is_text, sandbox = is_text, dataset = is_text, options = is_text },
    note = function(state, fields) state.run, state.files, state.groups, state.ready = fields, {}, {}, nil end,
  },
  file = {
    fields = { group = is_group, name = is_text, bytes = is_count, fingerprint = is_text },
    note = function(state, fields)
      state.files[fields.name] = { -- with room for what will be noted of it
        group = fields.group, bytes = fields.bytes, fingerprint = fields.fingerprint, part_size = nil, parts = nil,
        done = nil,
      }
    end,
  },
  -- all files are named: before this nothing was created
  ready = { fields = {}, note = function(state) state.ready = true end },
  -- a batch is about to be created; `since` is the service's time before, in milliseconds, where it is known
  create = {
    fields = { group = is_group, external_id = is_text },
    note = function(state, fields)
      local group = group_of(state, fields.group)
      group.external_id, group.since, group.refused = fields.external_id, fields.since, nil
    end,
  },
  -- that creation was refused: nothing was created
  refused = {
    fields = { group = is_group },
    note = function(state, fields)
      local group = group_of(state, fields.group)
      group.external_id, group.since, group.refused = nil, nil, true
    end,
  },
  batch = {
    fields = { group = is_group, id = is_text },
    note = function(state, fields) group_of(state, fields.group).id = fields.id end,
  },
  -- a large file is about to be begun, in parts of this size
  begin = {
    fields = { name = is_text, part_size = is_index }, of_file = true,
    note = function(file, fields) file.part_size, file.parts = fields.part_size, {} end,
  },
  part = {
    fields = { name = is_text, first = is_count, last = is_count }, of_file = true,
    note = function(file, fields)
      file.parts = file.parts or {}
      file.parts[fields.first] = fields.last
    end,
  },
  done = { fields = { name = is_text }, of_file = true, note = function(file) file.done = true end },
  -- the batch is about to be completed; it came to an end
  complete = {
    fields = { group = is_group }, note = function(state, fields) group_of(state, fields.group).completing = true end,
  },
  ["end"] = {
    fields = { group = is_group, status = is_text },
    note = function(state, fields) group_of(state, fields.group).ended = fields.status end,
  },
  -- the batch is of no more use, and another takes its place
  drop = {
    fields = { group = is_group, id = is_text, status = is_text },
    note = function(state, fields)
      local dropped = group_of(state, fields.group).dropped
      dropped[#dropped + 1] = { id = fields.id, status = fields.status }
      state.groups[fields.group] = { dropped = dropped }
      forget_progress(state, fields.group)
    end,
  },
}

-- Takes note of one line that was read. False: it is none of a journal's.
local function read_line(state, fields)
  local event = EVENTS[fields.event]
  if not event or not state.run and fields.event ~= "run" then return false end
  for name, fits in pairs(event.fields) do
    if not fits(fields[name]) then return false end
  end
  local subject = state
  if event.of_file then subject = state.files[fields.name] end
  if not subject then return false end
  event.note(subject, fields)
  return true
end

--- Reads the text of a journal.
-- @tparam string text lines; a last one without its newline is left out, and so is one that is not as it was written:
--   a crash may have torn it
-- @treturn[1] table what is known: `run`, `files` (name -> `group`, `bytes`, `fingerprint`; `part_size` and `parts` of
--   one that was begun; `done`), `groups` (each `external_id`, `since`, `refused`, `id`, `completing`, `ended`,
--   `dropped`), `ready` (all files are named)
-- @treturn[1] integer how many lines were read
-- @treturn[1] integer how many bytes these have
-- @treturn[2] nil
-- @treturn[2] table error of kind `data`, with the number of the line that cannot be understood
function journal.read(text)
  local state, number, bytes, checked = { files = {}, groups = {} }, 0, 0, false
  for content, after in text:gmatch "([^\n]*)\n()" do
    local fields, has_sum = line.decode(number + 1, content, checked)
    local is_torn = not fields and checked and after > #text
    if is_torn then break end
    if not fields and (checked or line.is_beginning(content)) then
      return failure("data", "line %d is not as it was written: the file was damaged, or edited", number + 1)
    end
    if not fields or not read_line(state, fields) then
      return failure("data", "line %d " .. NO_JOURNAL, number + 1)
    end
    number, bytes, checked = number + 1, after - 1, has_sum
  end
  return state, number, bytes
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

local Journal = { __name = "catalog.journal" }
Journal.__index = Journal

-- Begins a journal; behind what a crash has left of its first lines, whose seed is kept. They are written at once.
local function begin(self, run, groups)
  local state, lines, unfit = self.state, {}, nil
  local function add(event, fields, subject)
    if unfit then return end
    lines[#lines + 1], unfit = encode(self.count + #lines + 1, event, fields)
    if not unfit then EVENTS[event].note(subject, fields) end
  end
  run.seed = state.run and state.run.seed or random(16)
  add("run", run, state)
  for number, group in ipairs(groups) do
    for _, item in ipairs(group.files) do
      add("file", { group = number, name = item.name, bytes = item.bytes, fingerprint = item.fingerprint }, state)
    end
  end
  add("ready", {}, state)
  if unfit then return nil, unfit end
  self.count = self.count + #lines
  return self.file:append(table.concat(lines), true)
end

-- Goes on with a journal that is ready, after it was compared with the call.
local function compare(self, run, groups)
  local files = {}
  for _, group in ipairs(groups) do table.move(group.files, 1, #group.files, #files + 1, files) end
  local ok, err = is_same_run(self.state, run)
  if not ok then return nil, err end
  return are_same_files(self.state, files)
end

-- Reads what is in the file, and begins or goes on.
local function start(self, text, torn, run, groups)
  local state, number, bytes = journal.read(text)
  if not state then return nil, number end
  if number == 0 and torn ~= "" and not line.is_beginning(torn) then
    return failure("data", "its first line " .. NO_JOURNAL)
  end
  self.file:keep(bytes)
  self.state, self.count, self.resumed, self.is_new = state, number, state.ready or false, number == 0
  if self.resumed then return compare(self, run, groups) end
  return begin(self, run, groups)
end

--- Opens the journal of a call, which nobody else has then.
-- @tparam string path
-- @tparam table run what the call is: `base_url`, `org`, `sandbox`, `dataset`, `options` (JSON: what creates a batch)
-- @tparam {table,...} groups of files, one for each batch: `files`, each with `name`, `bytes`, `fingerprint`
-- @treturn[1] journal `resumed` (boolean): it is that of an earlier run of the same call; `is_new` (boolean): no run
--   has written a line into it before
-- @treturn[2] nil
-- @treturn[2] table error: of kind `config` when it cannot be used, `data` when it is of another call
function journal.open(path, run, groups)
  local file, text, torn = core.journal.open(path)
  if not file then return nil, text end
  local self = setmetatable({ file = file, synced = 0 }, Journal)
  local ok, err = start(self, text, torn, run, groups)
  if ok then return self end
  file:close()
  if err.kind == "data" then
    local is_ours = not err.message:find(NO_JOURNAL, 1, true)
    err.message = ("the journal %s cannot be gone on with: %s (give another path%s)"):format(path, err.message,
      is_ours and ", or remove it to ingest the files anew" or "")
  end
  return nil, err
end

--- The group that a file was put into.
-- @tparam string name
-- @treturn integer
function Journal:group(name)
  return self.state.files[name].group
end

--- What is known of the batch of a group.
-- @tparam integer number
-- @treturn table `external_id` and `since` of a creation that may have been sent; `refused` (true: the last one was);
--   `id`, `completing`, `ended`, `dropped`
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

--- An external id for the batch of a group, made of what is ingested, and of a random part that was on disk before
-- anything was sent: it is the same in each run, and nobody else's.
-- @tparam integer number
-- @treturn ?string nil: the journal is of before, and has no such part
function Journal:external_id(number)
  local seed = self.state.run.seed
  if type(seed) ~= "string" then return nil end
  local files = {}
  for name, file in pairs(self.state.files) do
    if file.group == number then files[#files + 1] = name .. "\0" .. file.bytes .. "\0" .. file.fingerprint end
  end
  table.sort(files)
  local digest = core.journal.checksum(self.state.run.options .. "\0" .. table.concat(files, "\0"))
  return ("catalog-%s-%s-%d"):format(seed, digest, number)
end

--- Takes note of what happened, or is about to.
-- @tparam string event
-- @tparam table fields the event's
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`: it cannot be written
function Journal:note(event, fields)
  local now, state, kind = monotonic(), self.state, EVENTS[event]
  local durable = LASTING[event] or now - self.synced >= SYNC_EVERY
  local text, unfit = encode(self.count + 1, event, fields)
  if not text then return nil, unfit end
  local ok, err = self.file:append(text, durable)
  if not ok then return nil, err end
  self.count = self.count + 1
  kind.note(kind.of_file and state.files[fields.name] or state, fields)
  if durable then self.synced = now end
  return true
end

--- Lets go of the file.
function Journal:close()
  self.file:close()
end

Journal.__close = Journal.close

return journal
