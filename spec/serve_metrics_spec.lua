local metrics = require "catalog.serve.metrics"
local service = require "support.service"
local shell = require "support.shell"

-- The samples of a text: their names and labels -> their values.
local function samples_of(text)
  local samples = {}
  for line in text:gmatch "[^\n]+" do
    local name, value = line:match "^([^#].*) (%S+)$"
    if name then samples[name] = value end
  end
  return samples
end

describe("the metrics", function()
  it("are those of the sink, by its names", function()
    local samples = samples_of(metrics.text({ {
      dataset = "d", name = "events", numbers = {
        records = 5, bytes = 100, rejected = 1, refused = 2, repeated = 3, retries = 4, spool_bytes = 1 << 40, free_bytes = 7,
        oldest_seconds = 1.5, batches = { planned = 1, success = 9 }, blocked = "the spool is full", last_error_at = 1500,
      },
    } }, { [200] = 4, [429] = 1 }))
    local stream = '{dataset="d",name="events"}'
    for name, value in pairs {
      records_total = "5", bytes_total = "100", rejected_total = "1", refused_total = "2", repeated_total = "3",
      retries_total = "4", spool_bytes = "1099511627776", free_bytes = "7", oldest_seconds = "1.5", blocked = "1",
      last_error_timestamp_seconds = "1.5",
    } do assert.equal(value, samples["catalog_sink_" .. name .. stream], name) end
    assert.equal("1", samples['catalog_sink_batches{dataset="d",name="events",state="planned"}'])
    assert.equal("9", samples['catalog_sink_batches{dataset="d",name="events",state="success"}'])
    assert.equal("4", samples['catalog_serve_requests_total{code="200"}'])
    assert.equal("1", samples['catalog_serve_requests_total{code="429"}'])
  end)

  it("have all that a sink tells", function()
    shell.with_directory(function(directory)
      local client = service.client "http://127.0.0.1:1"
      local sink <close> = assert(client:sink { dataset = "d", spool = directory .. "/spool" })
      local text = metrics.text { { dataset = "d", numbers = sink:metrics() } }
      for name in pairs(sink:metrics()) do
        assert(text:find("\ncatalog_sink_" .. name .. "[_{]") or name == "batches", name)
      end
      for state in pairs(sink:metrics().batches) do assert(text:find(('{dataset="d",state="%s"} 0'):format(state), 1, true)) end
    end)
  end)

  it("have each name once, with its kind, and labels that can be read", function()
    local stream = { dataset = 'a"b\\c\nd', numbers = {} }
    local text, seen, kind = metrics.text({ stream, { dataset = "e", numbers = {} } }), {}, nil
    for line in text:gmatch "[^\n]+" do
      local named, is = line:match "^# TYPE (%S+) (%S+)$"
      if named then
        assert.is_nil(seen[named])
        seen[named], kind = true, { named, is }
        assert.equal(is == "counter", named:find "_total$" ~= nil, named)
      elseif not line:find "^#" then
        assert.equal(kind[1], line:match "^[%w_]+", line)
      end
    end
    assert.matches('catalog_sink_records_total{dataset="a\\"b\\\\c\\nd"} 0\n', text, 1, true)
    assert.matches('catalog_sink_records_total{dataset="e"} 0\n', text, 1, true)
    assert.is_nil(text:find("catalog_serve", 1, true))
  end)
end)
