--- Records of a request: from its body into a sink, and what the sender is told.
--
-- Hosts that are refused drop the whole request, or send the same one for ever. So what is good in it is taken, and a
-- request of which nothing can be used leaves no trace.
-- @module catalog.serve.intake
local answers = require "catalog.serve.answers"
local core = require "catalog.core"
local sorted = require "catalog.base.sorted"

local intake = {}

-- After how many seconds the sender is to try again: when the spool is full, and when there are too many bodies.
local WHEN_FULL <const>, WHEN_CROWDED <const> = "10", "1"

-- How many bad lines are told.
local TOLD <const> = 10

-- What a source may be called, bytes; and the largest position.
local LONGEST_SOURCE <const>, LAST_POSITION <const> = 1024, 1 << 53

-- --- the request ---

--- Where the records come from, as the headers say.
-- @tparam {[string]=string,...} headers
-- @treturn[1] ?string the source; nil: none is named
-- @treturn[1] ?integer the position
-- @treturn[2] boolean false
-- @treturn[2] string what is wrong
function intake.origin(headers)
  local source, text = headers["catalog-source"], headers["catalog-position"]
  if not source and not text then return nil end
  if not (source and text) then return false, "Catalog-Source and Catalog-Position go together" end
  if source == "" or #source > LONGEST_SOURCE then
    return false, ("Catalog-Source has 1 to %d bytes"):format(LONGEST_SOURCE)
  end
  local position = text:find "^%d+$" and math.tointeger(tonumber(text))
  if not position or position > LAST_POSITION then
    return false, "Catalog-Position is no whole number from 0 to 2^53"
  end
  return source, position
end

-- The body as lines. An array becomes one.
local function lines_of(body)
  if not body:find "^%s*%[" then return body end
  local lines, fault = core.lines.split_array(body)
  if lines then return lines end
  return nil, "the array cannot be read: " .. fault
end

-- --- what the sender is told ---

local function outcome(status, accepted, rejected, faults, more)
  local fields = { accepted = accepted, rejected = rejected, errors = core.json.array(faults) }
  for name, value in pairs(more or {}) do fields[name] = value end
  return answers.json(status, fields)
end

-- A sink that cannot go on: the sender keeps what it has, and tries again.
local function refusal(sink, err, explain)
  local status, text = 503, intake.obstacle(sink) or err.message
  if err.kind == "limit" then status, text = 429, err.message end
  return answers.problem(status, explain(text), { ["retry-after"] = WHEN_FULL })
end

--- Why a sink or a drain does not go on.
-- @tparam catalog.sink|catalog.drain sink
-- @treturn ?string nil: it does
function intake.obstacle(sink)
  local numbers, closed = sink:metrics()
  local blocked = closed and closed.message or numbers.blocked
  if type(blocked) ~= "table" then return blocked end
  local texts = {}
  for i, key in ipairs(sorted(blocked)) do texts[i] = ("%s is blocked: %s"):format(key, blocked[key]) end
  return table.concat(texts, "; ")
end

local function unread(request, body_bytes)
  if request.too_large then return intake.too_large(body_bytes) end
  if request.crowded then
    return answers.problem(429, "too many large requests are under way; send this again",
      { ["retry-after"] = WHEN_CROWDED })
  end
  if request.damage then return answers.problem(400, "the body cannot be decoded: " .. request.damage) end
end

--- The answer to a body that is too large.
-- @tparam integer body_bytes how much is taken
-- @treturn table answer
function intake.too_large(body_bytes)
  return answers.problem(413, ("the body has more than %d bytes; send less at a time, or raise --body-bytes"):format(
    body_bytes))
end

local function is_strict(request)
  return ("&" .. request.query .. "&"):find("&strict=1&", 1, true) ~= nil
end

-- Why a line is not taken by a sink that holds records against a schema; nil: it is.
local function fault_of(sink, line)
  if #line > sink.settings.record_bytes then return "it is longer than record_bytes" end
  local fault = core.lines.fault(line)
  if fault then return fault end
  local unfit = sink.checker:line_refusal(line)
  return unfit and unfit.message
end

-- Looks at lines as `core.lines.check` does; where there is a schema, only those that fit it are good.
local function look(sink, lines, all)
  if not sink.checker or sink.transform then return core.lines.check(lines, sink.settings.record_bytes, all) end
  local is_usable, bad, faults, number = false, 0, {}, 0
  for text in lines:gmatch "([^\n]*)\n?" do
    local line = text:gsub("\r$", "")
    number = number + 1
    local fault = line ~= "" and fault_of(sink, line)
    is_usable = is_usable or line ~= "" and not fault
    if fault then bad = bad + 1 end
    if fault and bad <= TOLD then faults[bad] = { line = number, reason = fault } end
    if is_usable and not all then break end
  end
  return is_usable, bad, faults
end

-- Writes lines, and waits until they are on disk. Nil and an error as of the sink.
local function write(sink, lines, source, position)
  local full = sink:limit_reached() -- else it would wait for room, which may take hours
  if full then return nil, full end
  local taken, rejected, told = sink:write_lines(lines, source, position)
  if not taken then return nil, rejected end
  local ok, err = sink:sync()
  if not ok then return nil, err end
  return taken, rejected, told
end

--- Puts the records of a request into a sink. It returns when they are on disk.
-- @tparam catalog.sink sink
-- @tparam table request
-- @tparam table given `body_bytes` (the largest body), `explain(text)` (what the sink says, for the sender)
-- @treturn table answer
function intake.take(sink, request, given)
  local refused = unread(request, given.body_bytes)
  if refused then return refused end
  local source, position = intake.origin(request.headers)
  if source == false then return answers.problem(400, position) end
  local lines, unreadable = lines_of(request.body)
  if not lines then return answers.problem(400, unreadable) end
  request.body = nil
  local all = is_strict(request)
  local is_usable, bad, faults = look(sink, lines, all)
  if bad > 0 and (all or not is_usable) then
    return outcome(400, 0, bad, faults, { error = "nothing of this request was taken" })
  end
  local taken, rejected, told = write(sink, lines, source, position)
  if not taken then return refusal(sink, rejected, given.explain) end
  if rejected == "repeated" then return outcome(200, 0, 0, {}, { repeated = true }) end
  return outcome(200, taken, rejected, told)
end

return intake
