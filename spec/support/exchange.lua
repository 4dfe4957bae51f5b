-- Requests byte by byte, for what no client sends.
local socket = require "cqueues.socket"

local exchange = {}

--- Sends the bytes to a port of the loopback and gives all that comes back until the server closes, or for as long as
-- `seconds` after the last byte.
function exchange.raw(port, bytes, seconds)
  local connection = assert(socket.connect("127.0.0.1", port))
  connection:setmode("b", "bn")
  connection:settimeout(seconds or 5)
  connection:onerror(function(_, _, why) return why end)
  connection:write(bytes)
  connection:flush()
  local parts = {}
  while true do
    local part = connection:read(-4096)
    if not part then break end
    parts[#parts + 1] = part
  end
  connection:close()
  return table.concat(parts)
end

--- One well-formed request on a connection of its own. Gives the status, the body and the head.
function exchange.request(port, method, target, headers, body)
  local lines = { ("%s %s HTTP/1.1"):format(method, target), "Host: 127.0.0.1", "Connection: close" }
  for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  if body then lines[#lines + 1] = "Content-Length: " .. #body end
  local answer = exchange.raw(port, table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or ""))
  local head, rest = answer:match "^(.-\r\n)\r\n(.*)$"
  return tonumber(answer:match "^HTTP/1.1 (%d+)"), rest, head
end

return exchange
