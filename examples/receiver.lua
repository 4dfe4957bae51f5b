-- A TCP server on cqueues that takes records, a line of JSON each, and ingests them: every RECORDS of them, or what
-- there is after SECONDS. A line is answered by its number and `ok` once its batch is complete, or by `bad`; until then
-- it is the sender's to keep. Where senders are faster than the service they are read no further: that is the
-- back-pressure. A sender that does not read its answers holds up itself only.
-- Usage: lua5.4 receiver.lua PORT DATASET [RECORDS [SECONDS]]; configured as in the README; ends at SIGINT or SIGTERM
local catalog = require "catalog"
local cjson = require "cjson.safe"
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local signal = require "cqueues.signal"
local socket = require "cqueues.socket"

local port, dataset = tonumber(arg[1]), arg[2]
local RECORDS <const>, SECONDS <const> = math.tointeger(tonumber(arg[3] or 1000)), tonumber(arg[4] or 5)
if not port or not dataset or not RECORDS or not SECONDS then
  io.stderr:write "usage: lua5.4 receiver.lua PORT DATASET [RECORDS [SECONDS]]\n"
  os.exit(2)
end
local MOST <const> = 2 * RECORDS -- records that wait, and answers to one sender, before senders have to
local LONGEST <const> = 1024 * 1024 -- bytes of a line
local loop = cqueues.new()

local client, unfit = catalog.client { loop = require "catalog.loop.cqueues" }
if not client then
  io.stderr:write(tostring(unfit), "\n")
  os.exit(1)
end

local waiting = {} -- { line, answer }, the oldest first
local more, room, over = condition.new(), condition.new(), false
local unwritten = 0 -- answers, to all senders

-- A sender: its connection, the answers it has not got yet, how many are still to come, and whether it is at its end.
local function new_sender(connection)
  connection:setmode("b", "bl")
  connection:setmaxline(LONGEST)
  connection:onerror(function(_, _, why) return why end)
  return { connection = connection, answers = {}, due = 0, ended = false, news = condition.new() }
end

-- Writes the answers, which come in the order of the batches, as fast as they are read. Who has gone gets none.
local function answer_all(sender)
  local gone = false
  while sender.answers[1] or not sender.ended or sender.due > 0 do
    local text, count = table.concat(sender.answers), #sender.answers
    sender.answers = {}
    sender.news:signal()
    gone = gone or text ~= "" and not sender.connection:write(text)
    unwritten = unwritten - count
    if not sender.answers[1] and not (sender.ended and sender.due == 0) then sender.news:wait() end
  end
  sender.connection:close()
end

-- Reads the lines of a sender, each of which is answered with its number.
local function read_all(sender)
  local number = 0
  for line in sender.connection:lines "*l" do
    number = number + 1
    local mine = number
    sender.due = sender.due + 1
    local function answer(what)
      sender.due, unwritten = sender.due - 1, unwritten + 1
      sender.answers[#sender.answers + 1] = ("%d %s\n"):format(mine, what)
      sender.news:signal()
    end
    if #line >= LONGEST or type(cjson.decode(line)) ~= "table" then
      answer "bad"
      if #line >= LONGEST then break end -- where it ends nobody knows
    else
      while #waiting >= MOST do room:wait() end
      waiting[#waiting + 1] = { line = line, answer = answer, since = cqueues.monotime() }
      more:signal()
    end
    while #sender.answers >= MOST do sender.news:wait() end
  end
  sender.ended = true
  sender.news:signal()
end

-- The records of the next batch, once there are enough, or the oldest has waited long enough; nil at the end.
local function take()
  while #waiting < RECORDS and not (over and #waiting > 0) do
    if over then return nil end
    local left = waiting[1] and waiting[1].since + SECONDS - cqueues.monotime()
    if left and left <= 0 then break end
    more:wait(left)
  end
  local taken = table.move(waiting, 1, math.min(#waiting, RECORDS), 1, {})
  waiting = table.move(waiting, #taken + 1, #waiting, 1, {})
  room:signal()
  return taken
end

-- Puts records into a batch. Gives its id, or nil and an error, and whether they may be put into another.
local function ingest(records)
  local lines = {}
  for i, record in ipairs(records) do lines[i] = record.line end
  local batch, err = client:create_batch { dataset = dataset, format = "json", once = true }
  if not batch then return nil, err, true end
  local ok, failed = batch:upload("records.json", { data = table.concat(lines, "\n") .. "\n" })
  if not ok then
    batch:abort()
    return nil, failed, true
  end
  ok, failed = batch:complete()
  -- nobody knows whether it is complete: to send the records again might double them
  if not ok then return nil, failed, not failed.ambiguous end
  return batch.id
end

local function ingest_all()
  for records in take do
    local id, err, again
    repeat
      id, err, again = ingest(records)
      if not id then
        io.stderr:write(tostring(err), again and "; trying again\n" or "; look before you send them again\n")
        if again then cqueues.sleep(SECONDS) end
      end
    until id or not again
    for _, record in ipairs(records) do record.answer(id and "ok" or "unknown") end
    if id then print(("%d records in batch %s"):format(#records, id)) end
    io.stdout:flush()
  end
end

local listener = assert(socket.listen("127.0.0.1", port))
assert(listener:listen())
print("listening on port " .. select(3, listener:localname()))
io.stdout:flush()
listener:onerror(function(_, _, why) return why end)
loop:wrap(function()
  while true do
    local connection, why = listener:accept()
    if connection then
      local sender = new_sender(connection)
      loop:wrap(function() read_all(sender) end)
      loop:wrap(function() answer_all(sender) end)
    else
      io.stderr:write("no connection can be taken now: ", tostring(why), "\n")
      listener:clearerr()
      cqueues.sleep(0.1) -- others come to their end
    end
  end
end)
signal.block(signal.SIGINT, signal.SIGTERM)
loop:wrap(function()
  signal.listen(signal.SIGINT, signal.SIGTERM):wait()
  over = true -- what has been taken is ingested first
  more:signal()
end)
loop:wrap(function()
  ingest_all()
  local ends = cqueues.monotime() + 1 -- for those who read
  while unwritten > 0 and cqueues.monotime() < ends do cqueues.sleep(0.01) end
  os.exit(0, true)
end)
local ok, why = loop:loop()
io.stderr:write(ok and "" or why .. "\n")
os.exit(1)
