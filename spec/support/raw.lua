-- A server that says exactly what a spec tells it to, on a thread of its own, so that a blocking client can talk
-- to it from the spec's.
local thread = require "cqueues.thread"

local raw = {}
raw.__index = raw

-- Runs in a Lua state of its own: nothing from outside is seen here. `source` is a chunk that gives the script:
-- a list with an entry for each connection (the last one serves all later ones too), each a list with an entry for
-- each request on it: `send` (bytes), `pause` (seconds before it), `after` (how many bytes of the request to wait
-- for instead of all), and `close` (true) or `hang` (true).
local function serve(control, source, host)
  local cqueues = require "cqueues"
  local socket = require "cqueues.socket"
  local script = load(source)()
  local loop, seen, over = cqueues.new(), {}, false
  local listener = socket.listen(host, 0)
  listener:listen()
  local _, _, port = listener:localname()

  local function read_request(connection)
    local head = {}
    for line in connection:lines "*L" do
      head[#head + 1] = line
      if line:match "^\r?\n$" then break end
    end
    local text = table.concat(head)
    local length = tonumber(text:lower():match "\ncontent%-length:%s*(%d+)")
    return text ~= "" and text .. (length and length > 0 and connection:read(length) or "") or nil
  end

  local function talk(connection, requests)
    connection:setmode("b", "bn")
    for _, answer in ipairs(requests) do
      local request
      if answer.silent then request = "" else request = read_request(connection) end
      if not request then break end
      seen[#seen + 1] = request
      if answer.pause then cqueues.sleep(answer.pause) end
      if answer.send then
        connection:write(answer.send)
        connection:flush()
      end
      if answer.hang then
        while not over do cqueues.sleep(0.01) end
      end
      if answer.close then break end
    end
    connection:close()
  end

  loop:wrap(function()
    local number = 0
    for connection in listener:clients() do
      number = number + 1
      local requests = script[math.min(number, #script)]
      loop:wrap(function() pcall(talk, connection, requests) end)
    end
  end)
  loop:wrap(function()
    control:read "*l"
    over = true
    listener:close()
  end)
  control:setmode("b", "bn")
  control:write(port, "\n")
  control:flush()
  while not over do loop:step(1) end
  control:write(("%d\n"):format(#seen))
  for _, request in ipairs(seen) do control:write(("%d\n%s"):format(#request, request)) end
  control:flush()
  control:close()
end

local function literal(value)
  if type(value) ~= "table" then return ("%q"):format(value) end
  local parts = {}
  for key, item in pairs(value) do parts[#parts + 1] = ("[%s]=%s"):format(literal(key), literal(item)) end
  return "{" .. table.concat(parts, ",") .. "}"
end

--- Starts a server. See above for the script. `host`: the address it listens on, nil: 127.0.0.1.
function raw.start(script, host)
  local running, control = thread.start(serve, "return " .. literal(script), host or "127.0.0.1")
  control:setmode("b", "bn")
  local port = assert(tonumber(control:read "*l"))
  return setmetatable({
    thread = running, control = control, port = port, url = ("http://127.0.0.1:%d"):format(port),
  }, raw)
end

--- Stops it, and gives the requests it saw, as texts.
function raw:stop()
  if not self.thread then return {} end
  self.control:write "stop\n"
  self.control:flush()
  local requests = {}
  for i = 1, tonumber(self.control:read "*l") do
    requests[i] = self.control:read(tonumber(self.control:read "*l"))
  end
  self.control:close()
  self.thread:join()
  self.thread = nil
  return requests
end

raw.__close = raw.stop

--- An answer with a body.
function raw.answer(status, body, headers)
  return ("HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n%s"):format(status, #body,
    headers or "", body)
end

--- The request's answer that a batch was created, and one that refuses it.
function raw.created(id, headers)
  return { send = raw.answer("201 Created", ('{"id":"%s"}'):format(id), headers) }
end

function raw.refused(status, headers, body)
  return { send = raw.answer(status, body or "", headers) }
end

--- The bearer tokens of requests, sorted.
function raw.tokens_of(requests)
  local tokens = {}
  for i, request in ipairs(requests) do tokens[i] = request:match "Authorization: Bearer (%S+)" end
  table.sort(tokens)
  return tokens
end

return raw
