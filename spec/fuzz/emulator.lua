-- The emulator takes whatever comes over a connection, never fails, and goes on. In the input, {batch} stands for
-- the id of a batch that is made for it, of the fields that a first line in braces gives.
local fuzz = ...

local core = require "catalog.core"
local emulator = require "catalog.emulator"

local ANEW <const> = 2000 -- inputs after which the batches so far are dropped
local PROBE <const> = 50 -- inputs after which a request must succeed
local SHORT <const>, LONG <const> = 50, 5000 -- milliseconds without a byte

local WHO <const> = "Host: 127.0.0.1\r\nAuthorization: Bearer t\r\nx-api-key: k\r\nx-gw-ims-org-id: o@AdobeOrg\r\n"
  .. "x-sandbox-name: prod\r\nConnection: close\r\n"
local LISTING <const> = "GET /data/foundation/catalog/batches?limit=1 HTTP/1.1\r\n" .. WHO .. "\r\n"
local FIELDS <const> = '{"datasetId":"d","inputFormat":{"format":"json"},"enableErrorDiagnostics":true}'
local CREATION <const> = "POST /data/foundation/import/batches HTTP/1.1\r\n" .. WHO
  .. "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

-- Emulators, of which the second is strict, and the directory they keep things in.
local Place = {}
Place.__index = Place

local function new()
  return setmetatable({ directory = assert(core.fs.temporary()) }, Place)
end

function Place:start()
  for i = 1, 2 do
    self[i] = assert(emulator.start { data_dir = self.directory .. "/" .. i, strict = i == 2, max_file = 65536 })
  end
  return self
end

function Place:stop()
  for i = 1, 2 do
    if self[i] then self[i]:stop() end
  end
end

-- At the end of the state, too.
function Place:remove()
  self:stop()
  if self.directory then assert(core.fs.remove(self.directory)) end
  self.directory = nil
end

Place.__gc = Place.remove

local place, count = new():start(), 0

local function exchange(port, bytes, milliseconds)
  local text, ended = fuzz.exchange(port, bytes, milliseconds)
  -- with its quotes: an answer may repeat what was sent, but not these
  assert(not text:find('"title":"InternalServerError"', 1, true), "the emulator failed")
  return text, ended
end

local function create(port, fields)
  local text, ended = exchange(port, CREATION:format(#fields, fields), LONG)
  assert(ended and text:find "^HTTP/1.1 %d%d%d ", text)
  return text:match '"id":"(%w+)","' or "none"
end

return function(data)
  local port = place[#data % 2 + 1].port
  count = count + 1
  local fields, bytes = data:match "^({[^\n]*})\n(.*)$"
  bytes = bytes or data
  if bytes:find("{batch}", 1, true) then bytes = bytes:gsub("{batch}", create(port, fields or FIELDS)) end
  local _, ended = exchange(port, bytes, SHORT)
  -- a connection may stay open; but what does not answer others either is at work for ever
  if not ended or count % PROBE == 0 then
    local text, all = exchange(port, LISTING, LONG)
    assert(all and text:find "^HTTP/1.1 200 ", "no answer to a good request: " .. text)
  end
  if count % ANEW == 0 then
    -- what was kept is there again, whatever it is
    place:stop()
    place:start():remove()
    place = new():start()
  end
end
