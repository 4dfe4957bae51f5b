--- `catalog spool`: what waits in a spool, what failed and what can be done about it. It needs neither the spool's lock
-- nor a token, so that it can be used beside a sink.
-- @module catalog.cli.spool
local Store = require "catalog.sink.store"
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local output = require "catalog.cli.output"
local problem = require "catalog.cli.problem"
local remedies = require "catalog.cli.remedies"
local retry = require "catalog.sink.retry"
local trouble = require "catalog.sink.trouble"

local spool = { offline = true }

-- How often a journal is read at the most.
local TRIES <const> = 5

-- How much of a file that explains a batch is read, and how much of a file is copied at a time, bytes.
local LARGEST_WHY <const>, PIECE <const> = 1048576, 262144

--- What is wrong with the arguments together.
-- @tparam table arguments
-- @treturn ?string
function spool.check(arguments)
  if arguments.action == "retry" and not arguments.number then return "retry needs the number of a batch" end
  if arguments.action == "status" and arguments.number then return "status takes no number" end
end

-- --- what the spool says ---

-- The process whose sink has the spool: the kernel lists who has which lock.
local function owner_of(folder)
  local id = core.tail.look(folder .. "/lock")
  local locks <close> = id and io.open "/proc/locks"
  if not locks then return nil end
  for line in locks:lines() do
    local pid, inode = line:match "FLOCK%s+ADVISORY%s+WRITE%s+(%-?%d+)%s+%x+:%x+:(%d+)"
    if inode and inode == id:match ":(%d+)$" then return math.tointeger(tonumber(pid)) end
  end
end

local function by_number(a, b) return a.number < b.number end

-- The entries of a kind, such as `segment/42`, in their order.
local function entries(state, kind)
  local list = core.json.array {}
  for key, entry in pairs(state) do
    local number = key:match("^" .. kind .. "/(%d+)$")
    if number then
      entry.number = math.tointeger(tonumber(number))
      list[#list + 1] = entry
    end
  end
  table.sort(list, by_number)
  return list
end

-- What waits in all: records, bytes, files, and since when.
local function waiting_of(segments)
  local waiting = { records = 0, bytes = 0, files = #segments }
  for _, segment in ipairs(segments) do
    waiting.records, waiting.bytes = waiting.records + segment.records, waiting.bytes + segment.bytes
    waiting.since = math.min(waiting.since or math.huge, segment.since)
  end
  return waiting
end

-- What a small file has in JSON, or nil.
local function read_json(path)
  local text = core.file.read(path, LARGEST_WHY)
  return text and core.json.decode(text) or nil
end

-- What was kept of batches that failed; one whose directory was removed by somebody is no matter any more.
local function kept_of(folder, state, kind)
  local list = core.json.array {}
  for _, entry in ipairs(entries(state, kind)) do
    local directory = ("%s/%s/%d"):format(folder, kind, entry.number)
    if core.fs.kind(directory) == "directory" then
      entry.directory, entry.kind = directory, kind
      entry.why = read_json(directory .. "/why.json")
      entry.asked = core.fs.kind(directory .. "/" .. retry.REQUEST) ~= nil or nil
      list[#list + 1] = entry
    end
  end
  return list
end

-- The journal. Where a sink writes it meanwhile, what is read of it may be of two moments: it is read again.
local function read_journal(folder)
  local text, err
  for _ = 1, TRIES do
    text, err = core.spool.look(folder)
    if text or not owner_of(folder) then break end
  end
  return text, err
end

local function look(folder)
  local text, err = read_journal(folder)
  if not text then return nil, err end
  local state, undecoded = core.json.decode(text)
  if not state then return nil, undecoded end
  local segments = entries(state, "segment")
  return {
    folder = folder, dataset = state.dataset or "?", process = owner_of(folder),
    segments = segments, waiting = waiting_of(segments),
    batches = entries(state, "batch"), failed = kept_of(folder, state, "failed"),
    unknown = kept_of(folder, state, "unknown"), rejected = state.rejected or { records = 0, bytes = 0 },
    trouble = read_json(folder .. "/" .. trouble.NAME),
  }
end

-- --- status ---

local function row(name, text) output.line(("%-14s%s"):format(name, text)) end

local function next_step(text) row("", "-> " .. text) end

local DOES <const> = {
  planned = "is to be created", created = "its files are sent", completing = "the service ingests it",
  success = "is ingested, and is tidied up", failed = "failed, and is put aside", unknown = "is put aside",
  damaged = "has damaged files, and is put aside",
}

local function show_waiting(found)
  local waiting = found.waiting
  if waiting.records == 0 then return row("waiting", "nothing") end
  local age = math.max(0, core.system.now() - waiting.since) / 1000
  row("waiting", ("%s, %s in %s; the oldest since %s"):format(output.count(waiting.records, "record"),
    output.size(waiting.bytes), output.count(waiting.files, "file"), output.duration(age)))
  if not found.process then next_step "no sink sends it: start catalog sink with this spool" end
end

local function show_batches(found)
  for _, batch in ipairs(found.batches) do
    local id = batch.id and ", id " .. output.plain(batch.id) or ""
    row("batch " .. batch.number, ("%s: %s, %s%s"):format(DOES[batch.state] or output.plain(batch.state),
      output.count(batch.records, "record"), output.size(batch.bytes), id))
  end
end

-- What failed last, and has not gone well since.
local function show_trouble(found)
  local one = found.trouble
  if type(one) ~= "table" or math.type(one.at) ~= "integer" then return end
  local age = math.max(0, core.system.now() - one.at) / 1000
  row("trouble", ("%s ago: %s"):format(output.duration(age), problem.translate(output.plain(one.error))))
  if one.blocked then row("", problem.translate(output.plain(one.blocked))) end
  local remedy = remedies.of(one, output.plain(found.dataset), output.plain(found.folder))
  if remedy then next_step(remedy) end
  next_step((found.process and "the sink that runs tries again" or "the next start of the sink tries again")
    .. ", until it goes well; catalog sink --verbose shows each exchange")
end

-- Why it is there, as the sink has noted it.
local function show_why(why)
  for _, text in ipairs(type(why.errors) == "table" and why.errors or {}) do row("", output.plain(text)) end
  for _, text in ipairs(type(why.damage) == "table" and why.damage or {}) do row("", output.plain(text)) end
end

local function show_kept(found, one)
  row(("%s/%d"):format(one.kind, one.number), ("%s, %s%s, %s"):format(output.count(one.records, "record"),
    output.size(one.bytes), one.batch and ", id " .. output.plain(one.batch) or "", output.plain(one.at)))
  show_why(one.why or {})
  if one.asked then
    return next_step(found.process and "is sent again in a moment" or "is sent again at the next start of the sink")
  end
  local folder = output.plain(found.folder)
  if one.kind == "failed" then
    next_step(("mend the files in %s, then: catalog spool retry %s %d"):format(output.plain(one.directory), folder,
      one.number))
  else
    next_step(("catalog status %s shows it; was it not ingested: catalog spool retry %s %d"):format(
      one.batch and output.plain(one.batch) or "ID", folder, one.number))
  end
  next_step(("or give it up: catalog spool export %s %d >copy; rm -r %s"):format(folder, one.number,
    output.plain(one.directory)))
end

local function show_rejected(found)
  local is_there = core.fs.kind(found.folder .. "/rejected/records.jsonl") -- it may have been moved away
  if found.rejected.records == 0 or not is_there then return end
  row("rejected", ("%s, %s"):format(output.count(found.rejected.records, "record"), output.size(found.rejected.bytes)))
  next_step(("%s/rejected/records.jsonl has each with its reason"):format(output.plain(found.folder)))
end

local function show_refused(found)
  local names = core.fs.list(found.folder .. "/rejected") or {}
  table.sort(names)
  for _, name in ipairs(names) do
    local number = name:match "^(%d+)%.jsonl$"
    if number then
      row("refused", ("rows of the batch %s, which was ingested without them"):format(number))
      next_step(("%s/rejected/%s has them with their reasons"):format(output.plain(found.folder), name))
    end
  end
end

local function show(found)
  row("spool", output.plain(found.folder))
  row("dataset", output.plain(found.dataset))
  row("sink", found.process and ("runs (process %d)"):format(found.process) or "does not run")
  show_waiting(found)
  show_trouble(found)
  show_batches(found)
  for _, kind in ipairs { "failed", "unknown" } do
    for _, one in ipairs(found[kind]) do show_kept(found, one) end
  end
  show_rejected(found)
  show_refused(found)
end

local ACTIONS <const> = {}

function ACTIONS.status(session, found)
  if session.arguments.json then
    local ok, err = output.json(found)
    return ok and problem.OK, err
  end
  show(found)
  return problem.OK
end

-- --- retry ---

local function find_kept(found, number)
  for _, kind in ipairs { "failed", "unknown" } do
    for _, one in ipairs(found[kind]) do
      if one.number == number then return one end
    end
  end
  return failure("config", "%s has no batch %d that failed, or that is unknown; catalog spool status %s shows what it "
    .. "has", found.folder, number, found.folder)
end

function ACTIONS.retry(session, found)
  local one, err = find_kept(found, session.arguments.number)
  if not one then return nil, err end
  local path = one.directory .. "/" .. retry.REQUEST
  local file, why = io.open(path, "wb")
  if not file then return failure("config", "cannot ask for it by a file: %s", why) end
  file:close()
  if not session.arguments.quiet then
    output.note(("catalog: batch %d is sent again %s"):format(one.number,
      found.process and "within 10 seconds, by the sink that runs" or "at the next start of the sink"))
  end
  return problem.OK
end

-- --- export ---

-- Writes so many bytes of a file to standard output.
local function copy_out(path, bytes)
  local file <close>, err = core.tail.open(path)
  if not file then return nil, err end
  local at = 0
  while at < bytes do
    local piece, unread = file:read(at, math.min(PIECE, bytes - at))
    if not piece then
      unread.message = path .. " " .. unread.message
      return nil, unread
    end
    if piece == "" then break end
    output.text(piece)
    at = at + #piece
  end
  return true
end

-- The files of a batch, wherever it is; or all that wait.
local function files_of(found, number)
  local files, of = {}, nil
  if number then
    for _, batch in ipairs(found.batches) do
      if batch.number == number then
        of = {}
        for _, segment in ipairs(batch.segments) do of[segment] = true end
      end
    end
    if not of then
      local one, err = find_kept(found, number)
      if not one then return nil, err end
      for _, segment in ipairs(one.segments) do
        files[#files + 1] = { path = one.directory .. "/" .. Store.name_of(segment), bytes = math.maxinteger }
      end
      return files
    end
  end
  for _, segment in ipairs(found.segments) do
    if not of or of[segment.number] then
      files[#files + 1] = { path = found.folder .. "/seg/" .. Store.name_of(segment.number), bytes = segment.bytes }
    end
  end
  return files
end

function ACTIONS.export(session, found)
  local files, err = files_of(found, session.arguments.number)
  if not files then return nil, err end
  for _, file in ipairs(files) do
    local ok, unread = copy_out(file.path, file.bytes)
    if not ok and unread.code ~= "missing" then return nil, unread end
    if not ok then output.note(("catalog: %s is not there any more"):format(file.path)) end
  end
  return problem.OK
end

function spool.run(session)
  local found, err = look(session.arguments.folder)
  if not found then return nil, err end
  return ACTIONS[session.arguments.action](session, found)
end

return spool
