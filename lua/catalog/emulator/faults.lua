--- Faults on demand: what goes wrong, with which requests.
-- @module catalog.emulator.faults
local core = require "catalog.core"

local faults = {}

local HTML <const> = "<html><head><title>502</title></head><body><h1>Bad Gateway</h1></body></html>"

local REASONS <const> = {
  [200] = "OK", [201] = "Created", [400] = "Bad Request", [404] = "Not Found", [500] = "Internal Server Error",
}

-- The answer as text, as it would go over the wire.
local function as_text(status, headers, body, length)
  local lines = { ("HTTP/1.1 %d %s"):format(status, REASONS[status] or "Status") }
  for name, value in pairs(headers) do lines[#lines + 1] = name .. ": " .. value end
  lines[#lines + 1] = "content-length: " .. (length or #body)
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

local function raw(bytes)
  return 200, {}, { raw = bytes }
end

-- Each is given the fault's value, and a function that does the work and gives its answer.
local ACTIONS <const> = {
  -- an answer instead of the work
  status = function(value, _, action) return value, action.headers or {}, action.body or "" end,
  html = function() return 502, { ["content-type"] = "text/html" }, HTML end,
  garbage = function() return raw "\1\2\3 this is no HTTP\r\n\r\n" end,
  -- the work is done, and the connection closes without an answer; "before" is seen to by `begin`
  drop = function(_, work)
    work()
    return raw ""
  end,
  -- the work is done, and the answer breaks off after so many bytes
  cut = function(value, work)
    local status, headers, body = work()
    return raw(as_text(status, headers, body):sub(1, value))
  end,
  -- the answer says it is longer than it is
  wrong_length = function(value, work)
    local status, headers, body = work()
    return raw(as_text(status, headers, body, #body + value))
  end,
  -- the answer comes by and by: a byte every so many milliseconds
  trickle_ms = function(value, work)
    local bytes = as_text(work())
    return 200, {}, { raw = bytes, piece = 1, every_ms = value }
  end,
  -- the connection closes after the answer, which says so, or does not
  close = function(value, work)
    local status, headers, body = work()
    if value == "unannounced" then return raw(as_text(status, headers, body)) end
    headers.connection = "close"
    return status, headers, body
  end,
  delay_ms = function(value, work)
    local status, headers, body = work()
    return status, headers, body, value
  end,
  -- the batches in the answer lack a field
  leave_out = function(value, work)
    local status, headers, body = work()
    local batches = core.json.decode(body)
    for _, batch in pairs(type(batches) == "table" and batches or {}) do
      if type(batch) == "table" then batch[value] = nil end
    end
    return status, headers, batches and core.json.encode(batches) or body
  end,
  expire_tokens = function(_, work, _, service)
    service.gateway:expire()
    return work()
  end,
}

local function matches(match, request)
  return (not match.method or match.method == request.method)
    and (not match.path or request.target:find(match.path) ~= nil)
end

-- The fault a request meets, or nil. `nth` is that of the requests that match; `times` how many meet it at the most;
-- `rate` the share of them that do.
local function find(service, request)
  for _, fault in ipairs(service.faults) do
    if matches(fault.match or {}, request) then
      fault.seen = (fault.seen or 0) + 1
      local meant = not (fault.match or {}).nth or fault.match.nth == fault.seen
      local again = not fault.times or (fault.met or 0) < fault.times
      if meant and again and (not fault.rate or math.random() < fault.rate) then
        fault.met = (fault.met or 0) + 1
        return fault.action
      end
    end
  end
end

-- What an action may have that does nothing by itself.
local MORE <const> = { headers = true, body = true, drop_after = true }

--- Checks a list of faults, before a server gets it.
-- @tparam ?{table,...} list
-- @tparam integer level who is to blame, as in `error`
-- @raise an action is unknown, or a path is no pattern
function faults.check(list, level)
  for _, fault in ipairs(list or {}) do
    if type(fault) ~= "table" or type(fault.action) ~= "table" then
      error("bad fault (it is a table with an action, which is a table)", level + 1)
    end
    for name in pairs(fault.action) do
      if not ACTIONS[name] and not MORE[name] then
        error(("bad fault (the action '%s' is unknown)"):format(name), level + 1)
      end
    end
    local ok, why = pcall(string.find, "", (fault.match or {}).path or "")
    if not ok then error(("bad fault (its path is no pattern: %s)"):format(why), level + 1) end
  end
end

--- Sets the faults of a service.
-- @tparam table service
-- @tparam ?table list nil: none
function faults.set(service, list)
  service.faults = list and #list > 0 and list or nil
end

--- Decides about a request whose headers have come.
-- @tparam table service
-- @tparam table request gets `fault`, the action it meets
-- @treturn ?integer after how many bytes of its body the connection is dropped; nil: it is not
function faults.begin(service, request)
  request.fault = service.faults and find(service, request)
  local action = request.fault
  if not action then return nil end
  if action.drop == "before" then return 0 end
  return action.drop_after
end

--- Answers a request, with the fault that is due, if any.
-- @tparam table service
-- @tparam table request
-- @tparam function work does what the request asks and gives its answer
-- @return an answer
function faults.meet(service, request, work)
  local action = request.fault
  if not action then return work() end
  for name, value in pairs(action) do
    if ACTIONS[name] then return ACTIONS[name](value, work, action, service) end
  end
  return work()
end

return faults
