-- Encoding for URLs, and the emulator's decoding: what comes back is what went in, and nothing breaks out of its place.
local core = require "catalog.core"
local paths = require "catalog.batch.paths"
local target = require "catalog.emulator.target"

local BATCH <const>, DATASET <const> = "01ARZ3NDEKTSV4RRFFQ69G5FAV", "5c8c"
local TARGET <const> = { base_url = "http://127.0.0.1", files = assert(paths.files(BATCH, DATASET)) }
local ENCODED <const> = "^[%w%-._~%%]*$"

local function check_encode(data)
  local encoded = core.url.encode(data)
  assert(encoded:find(ENCODED), encoded)
  local _, query = target.split("/?" .. encoded .. "=" .. encoded)
  assert(data == "" or query[data] == data, "a query does not come back")
end

local function check_segment(data)
  local segment, err = core.url.segment(data, "batch id")
  if not segment then
    assert(err.kind == "data" and type(err.message) == "string")
    return
  end
  assert(segment:find(ENCODED) and segment ~= "" and segment ~= "." and segment ~= "..", segment)
  local segments, query = target.split("/a/" .. segment .. "/b?c=d")
  assert(#segments == 3 and segments[2] == data and segments[3] == "b" and query.c == "d", "a segment does not come back")
end

local function check_path(data)
  local path, err = paths.file(TARGET, data)
  if not path then
    assert(err.kind == "data" and type(err.message) == "string")
    return
  end
  assert(path:find "^/[%w%-._~%%/]*$" and not path:find "//", path)
  local segments = target.split(path)
  for _, segment in ipairs(segments) do assert(segment ~= "." and segment ~= "..", path) end
  assert(segments[5] == BATCH and segments[7] == DATASET)
  assert(table.concat(segments, "/", 9) == data, "a name does not come back")
end

local function check_base(data, insecure)
  local base, err = core.url.base(data, "base_url", insecure)
  if not base then
    assert(err.kind == "config" and type(err.message) == "string")
    return
  end
  assert(base:find "^https?://[^/]" and not base:find "[%c?#]" and not base:find "/$", base)
  assert(core.url.base(base, "base_url", insecure) == base, "a base is another when it is checked again: " .. base)
end

return function(data)
  check_encode(data)
  check_segment(data)
  check_path(data)
  check_base(data, false)
  check_base(data, true)
  local segments, query = target.split(data)
  for _, segment in ipairs(segments) do assert(type(segment) == "string") end
  for name, value in pairs(query) do assert(type(name) == "string" and type(value) == "string") end
end
