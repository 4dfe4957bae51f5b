--- The numbers of sinks in Prometheus's text format. Their names are those of `sink:metrics()`.
-- @module catalog.serve.metrics
local sorted = require "catalog.base.sorted"

local metrics = {}

--- The type of what `metrics.text` gives.
metrics.TYPE = "text/plain; version=0.0.4; charset=utf-8"

local function number(value) return value or 0 end
local function is_there(value) return value and 1 or 0 end
local function seconds(value) return value and value / 1000 or 0 end

-- Name in `sink:metrics()`; name here, behind `catalog_sink_`; kind; what it is; how it becomes a number.
local SINK <const> = {
  { "records", "records_total", "counter", "Records that were taken.", number },
  { "bytes", "bytes_total", "counter", "Bytes of records that were taken.", number },
  { "rejected", "rejected_total", "counter", "Records that were not taken; the spool has them.", number },
  { "refused", "refused_total", "counter", "Rows that the service has refused.", number },
  { "dropped", "dropped_total", "counter", "Records of which the transform has made nothing.", number },
  { "repeated", "repeated_total", "counter", "Writes that were taken before.", number },
  { "retries", "retries_total", "counter", "Requests to the service that were made again.", number },
  { "spool_bytes", "spool_bytes", "gauge", "Bytes in the spool.", number },
  { "free_bytes", "free_bytes", "gauge", "Bytes that are free on the disk of the spool.", number },
  { "oldest_seconds", "oldest_seconds", "gauge", "Age of the oldest record of which nothing is decided.", number },
  { "blocked", "blocked", "gauge", "1: the sink cannot go on without help.", is_there },
  { "last_error_at", "last_error_timestamp_seconds", "gauge", "When something failed last; 0: never.", seconds },
}
local BATCHES <const> = { nil, "batches", "gauge", "Batches by state: under way, and ended since the start." }

-- A value of a label.
local function quoted(text)
  return '"' .. text:gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("\n", "\\n") .. '"'
end

local function labels(pairs_of)
  local parts = {}
  for _, pair in ipairs(pairs_of) do parts[#parts + 1] = pair[1] .. "=" .. quoted(pair[2]) end
  return #parts > 0 and "{" .. table.concat(parts, ",") .. "}" or ""
end

local function of_stream(stream, more)
  local list = { { "dataset", stream.dataset } }
  if stream.name then list[2] = { "name", stream.name } end
  list[#list + 1] = more
  return labels(list)
end

local function head(lines, name, kind, help)
  lines[#lines + 1] = ("# HELP %s %s"):format(name, help)
  lines[#lines + 1] = ("# TYPE %s %s"):format(name, kind)
end

local function sample(lines, name, shown, value)
  lines[#lines + 1] = ("%s%s %s"):format(name, shown, math.tointeger(value) or ("%.17g"):format(value))
end

local function add_batches(lines, streams)
  local name = "catalog_sink_" .. BATCHES[2]
  head(lines, name, BATCHES[3], BATCHES[4])
  for _, stream in ipairs(streams) do
    local batches = stream.numbers.batches or {}
    for _, state in ipairs(sorted(batches)) do
      sample(lines, name, of_stream(stream, { "state", state }), batches[state])
    end
  end
end

local function add_answers(lines, answered)
  head(lines, "catalog_serve_requests_total", "counter", "Requests that were answered, by status.")
  for _, status in ipairs(sorted(answered)) do
    sample(lines, "catalog_serve_requests_total", labels { { "code", tostring(status) } }, answered[status])
  end
end

--- The numbers as text.
-- @tparam {table,...} streams each `dataset`, `numbers` (what `sink:metrics()` gives), and perhaps `name`
-- @tparam ?{[integer]=integer,...} answered how many requests were answered, by status
-- @treturn string
function metrics.text(streams, answered)
  local lines = {}
  for _, row in ipairs(SINK) do
    local name = "catalog_sink_" .. row[2]
    head(lines, name, row[3], row[4])
    for _, stream in ipairs(streams) do
      sample(lines, name, of_stream(stream), row[5](stream.numbers[row[1]]))
    end
  end
  add_batches(lines, streams)
  if answered then add_answers(lines, answered) end
  return table.concat(lines, "\n") .. "\n"
end

return metrics
