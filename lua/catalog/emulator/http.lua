--- What RFC 9112 wants of a request, as far as libmicrohttpd leaves it to the emulator.
-- @module catalog.emulator.http
local http = {}

-- A target in absolute form names the host itself, and counts more than the header. Source: 3.2.2.
local function take_absolute_form(request)
  local authority, rest = request.target:match "^%a[%w+.-]*://([^/?#]*)(.*)$"
  if not authority then return end
  request.target = rest:find "^/" and rest or "/" .. rest
  if request.headers.host then request.headers.host = authority end
end

local function check_host(request)
  local host = request.headers.host
  if not host then return request.version == "HTTP/1.1" and "The header Host is missing (RFC 9112, 3.2)" end
  if host:find "[%s,/?#@\\]" then return "The header Host is no host, or is there twice (RFC 9112, 3.2)" end
end

local function check_length(request)
  local length = request.headers["content-length"]
  if length and not length:find "^%d+$" then return "Content-Length is no number (RFC 9112, 6.3)" end
end

-- What is not in chunks at the end has no end that could be known, and what has two lengths may have either.
local function check_encoding(request)
  local encoding = request.headers["transfer-encoding"]
  if not encoding then return end
  if request.headers["content-length"] then
    return "Content-Length and Transfer-Encoding exclude each other (RFC 9112, 6.3)"
  end
  if request.version ~= "HTTP/1.1" then return "Transfer-Encoding is not for HTTP/1.0 (RFC 9112, 6.1)" end
  if encoding:lower() ~= "chunked" then return "Transfer-Encoding is chunked, or is not taken (RFC 9112, 6.1)" end
end

--- Checks a request whose headers are there. A target in absolute form becomes one in origin form.
-- @tparam table request
-- @treturn ?string why it is refused, and its connection closed; nil: it is not
function http.check(request)
  take_absolute_form(request)
  return check_host(request) or check_length(request) or check_encoding(request) or nil
end

return http
