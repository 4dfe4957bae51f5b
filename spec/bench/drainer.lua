--- A process of its own: a drain. Prints what was asked for; see below.
-- Arguments: what to do, the base URL, the brokers, the topic, the group, and more.
local Group = require "catalog.scheduler.group"
local catalog = require "catalog"
local core = require "catalog.core"
local scheduler = require "catalog.scheduler.scheduler"

local DATASET <const>, WIDE <const> = "5c8c3c555033b814b69f947f", 1000000000

local clock <const> = core.system.monotonic

local base_url, brokers, topic, group_id = arg[2], arg[3], arg[4], arg[5]

local function open(more, loop)
  local client = assert(catalog.client {
    base_url = base_url, org = "ORG@AdobeOrg", api_key = "key", token = "token", loop = loop,
  })
  local given = {
    dataset = DATASET, from = "beginning", roll = { seconds = 3600, bytes = 100 * WIDE, files = 1500 },
    on_error = function(err) io.stderr:write(tostring(err), "\n") end,
  }
  for name, value in pairs(more) do given[name] = value end
  given.kafka = { brokers = brokers, topics = { topic }, group = group_id, config = more.kafka }
  return assert(client:drain(given))
end

-- Does something beside a drain that runs, and ends the drain then.
local function beside(drain, body)
  local group = Group.new "detached"
  scheduler.begin(group:new_task(function()
    body()
    drain:close()
  end))
  assert(drain:run())
  group:abandon()
end

local function wait_until(is_so, step)
  while not is_so() do scheduler.sleep(step) end
end

local function peak()
  local file <close> = assert(io.open "/proc/self/status")
  return tonumber(file:read("a"):match "VmHWM:%s*(%d+) kB") * 1024
end

local TRANSFORMS <const> = {
  none = false,
  field = function(record)
    record.source = "bench"
    return record
  end,
}

local ways = {}

-- The seconds from the first record to the last, when that is in a batch that has succeeded, and the most memory.
function ways.rate(count, transform, config)
  local ended
  local drain = open {
    kafka = assert(core.json.decode(config)), transform = TRANSFORMS[transform] or nil,
    roll = { seconds = 3600, bytes = 100 * WIDE, files = 1500, records = math.tointeger(count) },
    on_batch = function() ended = clock() end,
  }
  local began
  beside(drain, function()
    wait_until(function() return drain:metrics().records > 0 end, 0.002)
    began = clock()
    wait_until(function() return ended end, 0.01)
  end)
  assert(drain:metrics().records == math.tointeger(count), "not all records came")
  print(ended - began, peak())
end

-- The keys of its partitions that have had records, and when the first of them came.
function ways.member(config)
  local drain = open { -- commits that a change of the group refuses are tried again
    kafka = assert(core.json.decode(config)), roll = { seconds = 3600 }, on_error = function() end,
  }
  local told = {}
  io.stdout:setvbuf "line"
  beside(drain, function()
    wait_until(function()
      for key, range in pairs(drain.member.batches.filling.ranges) do
        if range.next > range.first and told[key] ~= range.epoch then
          told[key] = range.epoch
          print(key, clock())
        end
      end
    end, 0.01)
  end)
end

-- By how many seconds a timer of one millisecond was late in a loop, in which the topic is drained, or which is idle:
-- the 999th of a thousand, the most; and how often it rang.
function ways.tick(name, side, seconds)
  local hosts = require "spec.bench.hosts"
  local host, lates, until_when, drain = hosts[name], {}, nil, nil
  host.run(function()
    until_when = clock() + tonumber(seconds)
    host.tick(function(late)
      if clock() >= until_when then
        if drain then drain:close() end
        return true
      end
      lates[#lates + 1] = late
    end)
    if side == "idle" then return end
    drain = open({ roll = { seconds = 3600, bytes = 25000000 } }, require("catalog.loop." .. name))
    assert(drain:run())
    assert((drain:metrics().batches.success or 0) > 0, "nothing was sent")
  end)
  table.sort(lates)
  print(lates[math.ceil(#lates * 0.999)], lates[#lates], #lates)
end

ways[arg[1]](table.unpack(arg, 6))
