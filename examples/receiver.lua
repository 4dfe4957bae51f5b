-- A TCP server on cqueues that takes records, a line of JSON each, and ingests them: every RECORDS (100,000) of them,
-- or what there is after SECONDS (960). A line is answered by its number and
--
--   ok       it is ingested: the service has said so
--   bad      it is no JSON object in UTF-8, or too long
--   refused  its batch is not ingested, and will not be: the service did not like something in it
--   unknown  its batch was completed, and what became of it cannot be found out
--
-- Until then it is the sender's to keep. What was not answered when we ended, or were killed, is sent again by its
-- sender: a record arrives at least once, and after such an end perhaps twice.
--
-- Where senders are faster than the service, or the platform is down, they are read no further: that is the
-- back-pressure. A sender that does not read its answers holds up itself only. The platform takes few batches a day of
-- some kinds of data (of profiles about 90, which is one in 16 minutes): SECONDS is for that.
-- Usage: lua5.4 receiver.lua PORT DATASET [RECORDS [SECONDS]]; configured as in the README; ends at SIGINT or SIGTERM
-- when what it has taken is ingested, and at a second one at once
local catalog = require "catalog"
local cjson = require("cjson.safe").new()
local condition = require "cqueues.condition"
local cqueues = require "cqueues"
local errno = require "cqueues.errno"
local signal = require "cqueues.signal"
local socket = require "cqueues.socket"

local port, dataset = tonumber(arg[1]), arg[2]
local RECORDS <const>, SECONDS <const> = math.tointeger(tonumber(arg[3] or 100000)), tonumber(arg[4] or 960)
if not port or not dataset or not RECORDS or not SECONDS then
  io.stderr:write "usage: lua5.4 receiver.lua PORT DATASET [RECORDS [SECONDS]]\n"
  os.exit(2)
end
local MOST <const> = 2 * RECORDS -- records that wait, and answers to one sender, before senders have to
local MOST_BYTES <const> = 64 * 1024 * 1024 -- of a batch; as many may wait for the next
local LONGEST <const> = 1024 * 1024 -- bytes of a line
local AT_ONCE <const> = 4 -- batches that are being sent or ingested
local PAUSE <const>, LONGEST_PAUSE <const> = math.min(0.5, SECONDS), 60 -- seconds between tries
local loop = cqueues.new()

cjson.decode_invalid_numbers(false) -- no NaN, no 0x10

local function complain(...)
  io.stderr:write(...)
  io.stderr:write "\n"
end

local client, unfit = catalog.client { loop = require "catalog.loop.cqueues" }
if not client then
  complain(tostring(unfit))
  os.exit(1)
end

local waiting, bytes = {}, 0 -- { line, answer }, the oldest first; of the lines
local more, room, free, over = condition.new(), condition.new(), condition.new(), false
local under_way = 0 -- batches
local unwritten = 0 -- answers, to all senders

-- A sender: its connection, the answers it has not got yet, how many are still to come, and whether it is at its end.
local function new_sender(connection)
  connection:setmode("b", "bl")
  connection:setmaxline(LONGEST)
  connection:onerror(function(_, _, why) return why end)
  return { connection = connection, answers = {}, due = 0, ended = false, news = condition.new() }
end

-- Writes the answers, batch by batch, as fast as they are read. Who has gone gets none.
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

-- Whether a line is a record: one that is not would spoil the batch it is in.
local function is_record(line)
  return #line < LONGEST and line:find "^%s*{" ~= nil and utf8.len(line) ~= nil and cjson.decode(line) ~= nil
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
    if is_record(line) then
      while #waiting >= MOST or bytes >= 2 * MOST_BYTES do room:wait() end
      if over then break end -- it is not ours yet
      waiting[#waiting + 1] = { line = line, answer = answer, since = cqueues.monotime() }
      bytes = bytes + #line
      more:signal()
    else
      answer "bad"
      if #line >= LONGEST then break end -- where it ends nobody knows
    end
    while #sender.answers >= MOST do sender.news:wait() end
  end
  sender.ended = true
  sender.news:signal()
end

-- How many of those that wait go into the next batch.
local function count_next()
  local count, size = 0, 0
  while waiting[count + 1] and count < RECORDS and size + #waiting[count + 1].line <= MOST_BYTES do
    count = count + 1
    size = size + #waiting[count].line
  end
  return count, size
end

-- The records of the next batch, once there are enough, or the oldest has waited long enough; nil at the end.
local function take()
  while under_way >= AT_ONCE do free:wait() end
  while #waiting < RECORDS and bytes < MOST_BYTES and not (over and #waiting > 0) do
    if over then return nil end
    local left = waiting[1] and waiting[1].since + SECONDS - cqueues.monotime()
    if left and left <= 0 then break end
    more:wait(left)
  end
  local count, size = count_next()
  local taken = table.move(waiting, 1, count, 1, {})
  waiting = table.move(waiting, count + 1, #waiting, 1, {})
  bytes = bytes - size
  room:signal()
  return taken
end

-- Makes a call until it succeeds, or `is_over(err)` says that it will not. Gives what the call gives.
local function persist(call, is_over)
  local pause = PAUSE
  while true do
    local result, err = call()
    if result or is_over and is_over(err) then return result, err end
    complain(tostring(err), "; trying again")
    cqueues.sleep(pause)
    pause = math.min(2 * pause, LONGEST_PAUSE)
  end
end

-- Whether the service has said no, and will say it again. A token that is refused is our fault, and can be mended.
local function is_refusal(err)
  return not err.retryable and not err.ambiguous
    and (err.kind == "http" or err.kind == "data" or err.kind == "limit")
end

local function is_end_of_batch(err) return err.kind == "batch" end

local function text_of(records)
  local lines = {}
  for i, record in ipairs(records) do lines[i], record.line = record.line, nil end
  return table.concat(lines, "\n") .. "\n"
end

-- Puts records into a batch of their own that is complete then. Or nil, an error, and how to answer.
local function fill(records)
  local text = text_of(records)
  -- once: a creation whose answer was lost makes no second batch
  local batch = persist(function() return client:create_batch { dataset = dataset, format = "json", once = true } end)
  local ok, err = persist(function() return batch:upload("records.json", { data = text }) end, is_refusal)
  local uploaded = ok
  -- where the answer was lost it may be said again
  if ok then ok, err = persist(function() return batch:complete() end, is_refusal) end
  if ok then return batch end
  local aborted = batch:abort()
  return nil, err, (aborted or not uploaded) and "refused" or "unknown"
end

-- Ingests records, and answers them.
local function ingest(records)
  local batch, err, answer = fill(records)
  if batch then
    local done
    done, err = persist(function() return batch:wait() end, is_end_of_batch)
    answer = done and "ok" or "refused"
  end
  for _, record in ipairs(records) do record.answer(answer) end
  if answer == "ok" then
    print(("%d records in batch %s"):format(#records, batch.id))
  else
    complain(("%d records are answered '%s': %s"):format(#records, answer, tostring(err)))
  end
  io.stdout:flush()
  under_way = under_way - 1
  free:signal()
end

local function ingest_all()
  for records in take do
    under_way = under_way + 1
    loop:wrap(function() ingest(records) end)
  end
  while under_way > 0 do free:wait() end
end
local function listen()
  local listener = assert(socket.listen("127.0.0.1", port))
  listener:onerror(function(_, _, why) return why end)
  local _, why = listener:listen()
  if why then
    complain(("cannot listen on port %d: %s"):format(port, errno.strerror(why)))
    os.exit(1)
  end
  return listener
end

local listener = listen()
print("listening on port " .. select(3, listener:localname()))
io.stdout:flush()
loop:wrap(function()
  while true do
    local connection, why = listener:accept()
    if connection then
      local sender = new_sender(connection)
      loop:wrap(function() read_all(sender) end)
      loop:wrap(function() answer_all(sender) end)
    else
      complain("no connection can be taken now: ", errno.strerror(why))
      listener:clearerr()
      cqueues.sleep(0.1) -- others come to their end
    end
  end
end)
signal.block(signal.SIGINT, signal.SIGTERM)
loop:wrap(function()
  local signals = signal.listen(signal.SIGINT, signal.SIGTERM)
  signals:wait()
  over = true -- what has been taken is ingested first
  more:signal()
  signals:wait()
  os.exit(1)
end)
loop:wrap(function()
  ingest_all()
  local ends = cqueues.monotime() + 1 -- for those who read
  while unwritten > 0 and cqueues.monotime() < ends do cqueues.sleep(0.01) end
  os.exit(0, true)
end)
local ok, why = loop:loop()
complain(ok and "" or tostring(why))
os.exit(1)
