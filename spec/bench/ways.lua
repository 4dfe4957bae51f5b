--- The ways to do something many times that are measured: by the clock in one process, and by callgrind in processes of
-- their own. Each takes the base URL of a server, and gives a function that does it so many times.
--
-- A way loads what only it needs when it is asked for, so that a process that is counted has nothing else in memory for
-- Lua's collector to walk through.
local catalog = require "catalog"

local CREATION <const> = { dataset = "5c8c3c555033b814b69f947f" }

local ways = {}

local function configuration_of(base_url, loop)
  return { base_url = base_url, org = "ORG@AdobeOrg", api_key = "key", token = "t", sandbox = "prod", loop = loop }
end

--- Makes a client.
-- @tparam string base_url
-- @tparam ?table loop
-- @treturn catalog.client
function ways.client(base_url, loop)
  return assert(catalog.client(configuration_of(base_url, loop)))
end

-- libcurl's replies are thrown away; so are ours, unless `kept`: what is kept is Lua's collector's to walk through.
local function map(client, count, width, kept)
  local list = {}
  for i = 1, count do list[i] = i end
  local made = assert(catalog.map(list, function()
    local batch, err = client:create_batch(CREATION)
    if kept or not batch then return batch, err end
    return batch.id
  end, { parallel = width }))
  assert(#made == count)
end

local function mapped(width, kept)
  return function(base_url)
    local client = ways.client(base_url)
    return function(count) map(client, count, width, kept) end
  end
end

local function hosted(name, width)
  return function(base_url)
    local host = require("spec.bench.hosts")[name]
    local client = ways.client(base_url, require("catalog.loop." .. name))
    return function(count)
      host.run(function() map(client, count, width) end)
    end
  end
end

local function bare(method, ...)
  local width <const> = ...
  return function(base_url)
    local target = require("spec.bench.request").target(base_url, CREATION, configuration_of())
    return function(count) target[method](target, count, width) end
  end
end

ways.bare = bare "sequential"
ways.bare16 = bare("inflight", 16)
ways.bare64 = bare("inflight", 64)
ways.map16 = mapped(16)
ways.map64 = mapped(64)
ways.kept64 = mapped(64, true)
ways.cqueues = hosted("cqueues", 64)
ways.luv = hosted("luv", 64)

function ways.sequential(base_url)
  local client = ways.client(base_url)
  return function(count)
    for _ = 1, count do assert(client:create_batch(CREATION)) end
  end
end

--- What `map` itself takes.
function ways.nothing()
  return function(count)
    local list = {}
    for i = 1, count do list[i] = i end
    assert(#assert(catalog.map(list, function(i) return i end, { parallel = 64 })) == count)
  end
end

--- The first files of a directory into one batch, at a server that knows what becomes of it.
-- @tparam string base_url
-- @tparam string directory where they are, as `make_files` makes them
-- @tparam ?string journal
function ways.ingest(base_url, directory, journal)
  local client = ways.client(base_url)
  return function(count)
    local files = {}
    for i = 1, count do files[i] = ("%s/%d.json"):format(directory, i) end
    if journal then os.remove(journal) end
    local report = assert(client:ingest { dataset = CREATION.dataset, format = "json", files = files, journal = journal })
    assert(report.status == "success" and #report.files == count)
  end
end

return ways
