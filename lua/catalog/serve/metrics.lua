--- The numbers of sinks and drains in Prometheus's text format. Their names are those of `sink:metrics()` and
-- `drain:metrics()`.
-- @module catalog.serve.metrics
local sorted = require "catalog.base.sorted"

local metrics = {}

--- The type of what `metrics.text` gives.
metrics.TYPE = "text/plain; version=0.0.4; charset=utf-8"

local function number(value) return value or 0 end
local function is_there(value) return value and 1 or 0 end
local function seconds(value) return value and value / 1000 or 0 end

local function count(value)
  local all = 0
  for _ in pairs(value or {}) do all = all + 1 end
  return all
end

-- Name in `metrics()`; name here; kind; what it is; how it becomes a number; of which streams it is, where not of all.
-- What sinks and drains have in common has the names that it has of a sink, so that rules are for both.
local ROWS <const> = {
  { "records", "sink_records_total", "counter", "Records that were taken.", number },
  { "bytes", "sink_bytes_total", "counter", "Bytes of records that were taken.", number },
  { "rejected", "sink_rejected_total", "counter", "Records that were not taken; they are kept elsewhere.", number },
  { "refused", "sink_refused_total", "counter", "Rows that the service has refused.", number },
  { "dropped", "sink_dropped_total", "counter", "Records of which the transform has made nothing.", number },
  { "repeated", "sink_repeated_total", "counter", "Writes that were taken before.", number, "sink" },
  { "retries", "sink_retries_total", "counter", "Requests that were made again.", number },
  { "spool_bytes", "sink_spool_bytes", "gauge", "Bytes in the spool.", number, "sink" },
  { "free_bytes", "sink_free_bytes", "gauge", "Bytes that are free on the disk of the spool.", number, "sink" },
  { "oldest_seconds", "sink_oldest_seconds", "gauge", "Age of the oldest record of which nothing is decided.", number },
  { "blocked", "sink_blocked", "gauge", "1: something does not go on without help.", is_there },
  { "last_error_at", "sink_last_error_timestamp_seconds", "gauge", "When something failed last; 0: never.", seconds },
  { "lag", "drain_lag", "gauge", "Messages of own partitions that are in no batch yet.", number, "drain" },
  { "partitions", "drain_partitions", "gauge", "Partitions that this member has.", number, "drain" },
  { "blocked", "drain_blocked_partitions", "gauge", "Own partitions that wait for a person.", count, "drain" },
  { "rebalances", "drain_rebalances_total", "counter", "How often partitions were assigned.", number, "drain" },
  { "batch_seconds", "drain_batch_seconds", "gauge", "Age of the batch that is filled.", number, "drain" },
}

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
  for _, name in ipairs { "name", "group" } do
    if stream[name] then list[#list + 1] = { name, stream[name] } end
  end
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
  local name = "catalog_sink_batches"
  head(lines, name, "gauge", "Batches by state: under way, and ended since the start.")
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

-- Adds a number of all streams that have it.
local function add_row(lines, row, streams)
  local name, is_headed = "catalog_" .. row[2], false
  for _, stream in ipairs(streams) do
    if not row[6] or row[6] == (stream.kind or "sink") then
      if not is_headed then head(lines, name, row[3], row[4]) end
      is_headed = true
      sample(lines, name, of_stream(stream), row[5](stream.numbers[row[1]]))
    end
  end
end

--- The numbers as text.
-- @tparam {table,...} streams each `dataset`, `numbers` (what its `metrics()` gives), and perhaps `name`; of a drain
--   `kind` (`drain`) and `group`
-- @tparam ?{[integer]=integer,...} answered how many requests were answered, by status
-- @treturn string
function metrics.text(streams, answered)
  local lines = {}
  for _, row in ipairs(ROWS) do add_row(lines, row, streams) end
  add_batches(lines, streams)
  if answered then add_answers(lines, answered) end
  return table.concat(lines, "\n") .. "\n"
end

return metrics
