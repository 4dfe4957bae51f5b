-- A TCP server on cqueues that takes records, a line of JSON each, and ingests them: every RECORDS of them, or what
-- there is after SECONDS. A line is answered by its number and `ok` once its batch is complete, or by `bad`; until then
-- it is the sender's to keep. Where senders are faster than the service they are read no further: that is the
-- back-pressure.
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
local MOST <const> = 2 * RECORDS -- records that wait, before senders have to

local client, unfit = catalog.client { loop = require "catalog.loop.cqueues" }
if not client then
  io.stderr:write(tostring(unfit), "\n")
  os.exit(1)
end

local waiting = {} -- { line, answer }, the oldest first
local more, room, over = condition.new(), condition.new(), false

-- Reads the lines of a sender. Answers come in the order of the batches, each with the number of its line.
local function serve(connection)
  connection:setmode("b", "bl")
  connection:onerror(function(_, _, why) return why end)
  local number = 0
  for line in connection:lines "*l" do
    number = number + 1
    local mine = number
    local function answer(what) connection:write(("%d %s\n"):format(mine, what)) end
    if type(cjson.decode(line)) ~= "table" then
      answer "bad"
    else
      while #waiting >= MOST do room:wait() end
      waiting[#waiting + 1] = { line = line, answer = answer, since = cqueues.monotime() }
      more:signal()
    end
  end
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

local loop = cqueues.new()
local listener = assert(socket.listen("127.0.0.1", port))
assert(listener:listen())
print("listening on port " .. select(3, listener:localname()))
io.stdout:flush()
loop:wrap(function()
  for connection in listener:clients() do loop:wrap(function() serve(connection) end) end
end)
signal.block(signal.SIGINT, signal.SIGTERM)
loop:wrap(function()
  signal.listen(signal.SIGINT, signal.SIGTERM):wait()
  over = true -- what has been taken is ingested first
  more:signal()
end)
loop:wrap(function()
  ingest_all()
  os.exit(0, true)
end)
local ok, why = loop:loop()
io.stderr:write(ok and "" or why .. "\n")
os.exit(1)
