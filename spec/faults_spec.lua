-- The matrix: each fault at each step of an ingest. Afterwards the files are there byte for byte and the batch once, or
-- the error says what did not happen, and nothing was completed.
local catalog = require "catalog"
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local hurry = require "support.hurry"
local service = require "support.service"
local shell = require "support.shell"

local STEPS <const> = {
  { name = "create", match = { method = "POST", path = "/import/batches$" } },
  { name = "upload a small file", match = { method = "PUT" } },
  { name = "begin a large file", match = { method = "POST", path = "action=INITIALIZE" } },
  { name = "send the first part", match = { method = "PATCH" } },
  { name = "send the last part", match = { method = "PATCH", nth = 4 } },
  { name = "complete the file", match = { method = "POST", path = "/files/.*action=COMPLETE" } },
  { name = "complete the batch", match = { method = "POST", path = "/batches/[^/]*%?action=COMPLETE" } },
  { name = "wait", match = { method = "GET", path = "/catalog/batches/" } },
  { name = "get a token", match = { method = "POST", path = "/ims/token" } },
}

local function problem(status, headers)
  return { status = status, body = '{"title":"On purpose"}', headers = headers }
end

-- Faults that pass.
local PASSING <const> = {
  ["drop before anything is read"] = { drop = "before" },
  ["drop within the body"] = { drop_after = 100 },
  ["drop after the work"] = { drop = "after" },
  ["an answer cut in its first line"] = { cut = 5 },
  ["an answer cut in its headers"] = { cut = 60 },
  ["an answer cut by one byte"] = { cut = -2 },
  ["a length that is too great"] = { wrong_length = 7 },
  ["an answer by the byte"] = { trickle_ms = 50 },
  ["an answer that is late"] = { delay_ms = 600 },
  ["garbage"] = { garbage = true },
  ["a proxy's page"] = { html = true },
  ["an empty page"] = { status = 502, body = "" },
  ["the end of the connection after the answer"] = { close = true },
  ["the end of the connection, unannounced"] = { close = "unannounced" },
  ["tokens that end"] = { expire_tokens = true },
  ["408"] = problem(408), ["425"] = problem(425), ["500"] = problem(500), ["502"] = problem(502), ["503"] = problem(503),
  ["504"] = problem(504), ["429 with a pause"] = problem(429, { ["retry-after"] = "0" }),
  ["503 with a date"] = problem(503, { ["retry-after"] = "Thu, 01 Jan 1970 00:00:00 GMT" }),
}

local REFUSALS <const> = { ["400"] = problem(400), ["403"] = problem(403), ["404"] = problem(404), ["409"] = problem(409) }

local function client_for(server, tries)
  local settings = service.settings(server.url, {
    client_secret = "s3cret", scopes = "x", timeout = 0.3, parallel = 1,
    retry = { tries = tries, base = 0.001, cap = 0.002 },
  })
  settings.token = nil
  return assert(catalog.client(settings))
end

-- The statuses of all batches, and whether the fault was met.
local function look(server)
  server:set_faults()
  local client = client_for(server, 5)
  local answer = assert(client:send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=100", read = core.json.decode,
  })
  local statuses = {}
  for _, fields in pairs(answer) do statuses[#statuses + 1] = fields.status end
  return statuses
end

-- Runs body(directory, server, files) with an emulator of its own.
local function with_files(body)
  shell.with_directory(function(directory)
    local files = { directory .. "/small", directory .. "/large" }
    shell.write(files[1], ('{"small":1}\n'):rep(50)) -- 600 bytes: one request
    shell.write(files[2], ('{"large":1}\n'):rep(300)) -- 3600 bytes: four parts
    local server <close> = assert(emulator.start {
      data_dir = directory .. "/data", tokens = {}, clients = { key = "s3cret" }, log = directory .. "/log",
    })
    body(directory, server, files)
  end)
end

local function ingest(client, files)
  return client:ingest {
    dataset = service.DATASET, format = "json", files = files, part_size = 1000, part_threshold = 1000, timeout = 4,
  }
end

local function assert_whole(directory, report, files)
  for _, path in ipairs(files) do
    local kept = ("%s/data/files/%s/%s"):format(directory, report.id, path:match "[^/]*$")
    assert.equal(shell.read(path), shell.read(kept))
  end
end

local function requests(directory)
  return select(2, shell.read(directory .. "/log"):gsub("\n", ""))
end

local UNTOUCHED <const> = 11 -- requests of an ingest without a fault

-- Checks things at the same time: they wait more than they work.
local function at_once(list, check)
  assert(catalog.map(list, function(one)
    check(one)
    return true
  end, { parallel = #list }))
end

-- A creation whose answer is lost is looked for for some seconds.
local function for_each_fault(faults, check)
  local names = {}
  for name in pairs(faults) do names[#names + 1] = name end
  hurry.during(function() at_once(names, function(name) check(STEPS[1], name, faults[name]) end) end)
end

local function for_later_steps(check)
  hurry.during(function() at_once({ table.unpack(STEPS, 2) }, check) end)
end

describe("a fault that passes", function()
  local function check(step, fault, action)
    with_files(function(directory, server, files)
      server:set_faults { { match = step.match, times = 1, action = action } }
      local report, err = ingest(client_for(server, 5), files)
      local where = ("%s, %s: %s"):format(step.name, fault, tostring(err))
      assert.is_table(report, where)
      assert.equal("success", report.status, where)
      assert_whole(directory, report, files)
      assert.same({ "success" }, look(server), where)
    end)
  end

  it("leaves every file whole, and one batch, whatever befalls the creation", function() for_each_fault(PASSING, check) end)

  for fault, action in pairs(PASSING) do
    it(("(%s) leaves every file whole, and one batch, at each later step"):format(fault), function()
      for_later_steps(function(step) check(step, fault, action) end)
    end)
  end

  it("is met: nothing of this is true by itself", function()
    with_files(function(directory, server, files)
      assert(ingest(client_for(server, 5), files))
      assert.equal(UNTOUCHED, requests(directory))
    end)
    for _, step in ipairs(STEPS) do
      with_files(function(directory, server, files)
        server:set_faults { { match = step.match, times = 1, action = problem(503) } }
        assert(ingest(client_for(server, 5), files))
        assert.equal(UNTOUCHED + 1, requests(directory), step.name)
      end)
    end
  end)
end)

describe("a fault that stays", function()
  local STAYING <const> = {
    ["drop before anything is read"] = PASSING["drop before anything is read"],
    ["drop after the work"] = PASSING["drop after the work"], ["garbage"] = PASSING.garbage, ["503"] = PASSING["503"],
    ["a proxy's page"] = PASSING["a proxy's page"],
  }
  for name, action in pairs(REFUSALS) do STAYING[name] = action end

  -- Steps whose work may be done although no answer says so.
  local LATE <const> = { ["complete the batch"] = true, wait = true }

  local function check(step, fault, action)
    with_files(function(directory, server, files)
      server:set_faults { { match = { method = step.match.method, path = step.match.path }, action = action } }
      local report, err, partial = ingest(client_for(server, 2), files)
      local statuses = look(server)
      local where = ("%s, %s: %s, %s"):format(step.name, fault, tostring(err), table.concat(statuses, " "))
      assert.is_true(#statuses <= 1, where)
      if report then -- it found out all the same
        assert.equal("success", report.status, where)
      else
        assert.is_string(err.kind, where)
        assert.is_true(LATE[step.name] or statuses[1] == nil or statuses[1] == "aborted", where)
      end
      if statuses[1] == "success" then assert_whole(directory, report or partial, files) end
    end)
  end

  it("is an error at the creation, whatever it is, and nothing is completed", function() for_each_fault(STAYING, check) end)

  for fault, action in pairs(STAYING) do
    it(("(%s) is an error at each later step, and nothing is completed by halves"):format(fault), function()
      for_later_steps(function(step) check(step, fault, action) end)
    end)
  end
end)

describe("faults on the way", function()
  it("do not keep an ingest from being whole", function()
    shell.with_directory(function(directory)
      local path, lines = directory .. "/source.json", {}
      for i = 1, 5000 do lines[i] = ('{"n":%d}\n'):format(i) end
      shell.write(path, table.concat(lines))
      service.run({ data_dir = directory .. "/data", seed = 11, faults = {
        { rate = 0.05, action = { drop = "after" } }, { rate = 0.05, action = { drop = "before" } },
        { rate = 0.05, action = { status = 503, body = "{}" } }, { rate = 0.05, action = { cut = 30 } },
      } }, function(server)
        local client = service.client(server.url, { retry = { tries = 10, base = 0.01, cap = 0.05 } })
        for run = 1, 5 do
          local report = assert(client:ingest {
            dataset = service.DATASET, format = "json",
            files = { { name = "whole", file = path }, { name = "parts", file = path } },
            part_size = 3000 + run, part_threshold = run == 1 and 200000 or 1000, parallel = 4,
          })
          assert.equal(10000, report.metrics.outputRecordCount)
          for _, name in ipairs { "whole", "parts" } do
            local kept <close> = assert(io.open(("%s/data/files/%s/%s"):format(directory, report.id, name), "rb"))
            assert.equal(table.concat(lines), kept:read "a")
          end
        end
      end)
    end)
  end)
end)
