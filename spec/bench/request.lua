--- The request of a creation, learned from the module itself, for libcurl alone to send.
local bare = require "bench.bare"
local catalog = require "catalog"
local nginx = require "spec.bench.nginx"

local request = {}

-- What one side puts on the wire, with the port of the recorder taken out of it.
local function recorded(send)
  local recorder = bare.recorder("HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: "
    .. #nginx.answer .. "\r\nConnection: close\r\n\r\n" .. nginx.answer)
  send("http://127.0.0.1:" .. recorder:port())
  local text = assert(recorder:stop(), "nothing was sent")
  return (text:gsub("\r\nHost: [^\r\n]*", "\r\nHost: HOST", 1))
end

-- Path, header lines that libcurl does not make by itself, body.
local function take_apart(text)
  local head, body = text:match "^(.-)\r\n\r\n(.*)$"
  local lines = {}
  for header in head:gmatch "\r\n([^\r\n]+)" do
    local name = header:match("^[^:]+"):lower()
    if name ~= "host" and name ~= "content-length" then lines[#lines + 1] = header end
  end
  return { path = head:match "^POST (%S+) HTTP/1%.1\r\n", lines = lines, body = body }
end

local function target_of(base_url, parts)
  return bare.target(base_url .. parts.path, parts.lines, parts.body)
end

--- Makes what sends it by libcurl alone, and makes sure that both sides send the same bytes.
-- @tparam string base_url
-- @tparam table creation what `create_batch` gets
-- @tparam table configuration what `catalog.client` gets, but for the base URL
-- @treturn bench.target
function request.target(base_url, creation, configuration)
  local ours = recorded(function(url)
    configuration.base_url = url
    assert(assert(catalog.client(configuration)):create_batch(creation))
  end)
  local parts = take_apart(ours)
  local theirs = recorded(function(url) target_of(url, parts):sequential(1) end)
  if ours ~= theirs then error("the sides do not send the same bytes:\n" .. ours .. "\nand\n" .. theirs, 0) end
  return target_of(base_url, parts)
end

return request
