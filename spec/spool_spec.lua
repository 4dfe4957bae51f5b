-- The core of a sink: records on the disk, whatever happens to the process and to the disk.
local core = require "catalog.core"
local poll = require "support.poll"
local shell = require "support.shell"

local Spools = {}
Spools.__index = Spools

local function with_spools(body)
  shell.with_directory(function(directory)
    body(setmetatable({ path = directory .. "/spool", directory = directory }, Spools))
  end)
end

function Spools:options(given)
  local options = { path = self.path, sync_seconds = 0 }
  for name, value in pairs(given or {}) do options[name] = value end
  return options
end

-- Gives the spool, and what its journal says.
function Spools:open(given)
  local spool, text = core.spool.open(self:options(given))
  assert(spool, tostring(text))
  return spool, assert(core.json.decode(text))
end

function Spools:refused(given)
  local spool, err = core.spool.open(self:options(given))
  assert.is_nil(spool)
  return err
end

-- What its journal says, without opening it.
function Spools:look() return assert(core.json.decode((assert(core.spool.look(self.path))))) end

function Spools:read(name) return shell.read(self.path .. "/" .. name) end

-- Waits for a job; gives its error and value, and what else has happened: a list of { name, value }.
local function finish(spool, ticket, refused)
  assert(ticket, tostring(refused))
  local events = {}
  while true do
    local name, value, err, result = spool:take()
    if name == "job" and value == ticket then return err, result, events end
    if name then events[#events + 1] = { name, value } else assert(poll(spool:fd(), 10), "nothing happens") end
  end
end

local function sync(spool)
  local err, _, events = finish(spool, spool:sync())
  assert.is_nil(err)
  return events
end

local function segments_of(events)
  local list = {}
  for _, event in ipairs(events) do
    if event[1] == "segment" then list[#list + 1] = event[2] end
  end
  return list
end

local LINE <const> = '{"n":1}'

describe("a spool", function()
  it("is made where there is none, and has what was put after it was closed", function()
    with_spools(function(run)
      local spool, state = run:open()
      assert.matches("^%x+$", state.spool.id)
      assert.is_true(spool:write(LINE))
      assert.is_true(spool:close())
      assert.equal(LINE .. "\n", run:read "seg/0000000001.jsonl")
      local again, known = run:open()
      assert.equal(state.spool.id, known.spool.id)
      assert.same({ bytes = 8, records = 1, crc = core.journal.checksum(LINE .. "\n"), sealed = true, from = {},
        since = known["segment/1"].since }, known["segment/1"])
      assert.is_true(again:close())
      assert.is_nil(again:write(LINE))
    end)
  end)

  it("checks lines, and takes the good ones of many", function()
    with_spools(function(run)
      local spool <close> = run:open { record_bytes = 20 }
      local no, err = spool:write_line '{"n":1} x'
      assert.is_nil(no)
      assert.equal("data", err.kind)
      assert.equal("data", select(2, spool:write_line('{"n":"' .. ("x"):rep(20) .. '"}')).kind)
      local text = LINE .. "\r\n\n" .. LINE .. "\nbad\n" .. LINE
      assert.same({ 19, 2, "it is no JSON object", 23 }, { spool:write_lines(text, 1) })
      assert.same({ #text + 1, 1 }, { spool:write_lines(text, 23) })
      assert.is_true(spool:commit())
      sync(spool)
      assert.equal((LINE .. "\n"):rep(3), run:read "seg/0000000001.jsonl")
      assert.equal(3, spool:status().durable_records)
    end)
  end)

  it("takes back what was put since the last call has ended", function()
    with_spools(function(run)
      local spool <close> = run:open { file_bytes = 40 }
      assert.is_true(spool:write(LINE))
      spool:write_lines((LINE .. "\n"):rep(50), 1)
      assert.is_true(spool:reject '{"reason":"x"}')
      spool:rollback()
      assert.is_true(spool:write '{"n":2}')
      assert.is_true(spool:seal())
      local list = segments_of(sync(spool))
      assert.equal(1, #list)
      assert.equal(2, list[1].records)
      assert.equal(LINE .. '\n{"n":2}\n', run:read "seg/0000000001.jsonl")
      assert.equal("", run:read "rejected/records.jsonl")
      assert.equal(1, #core.fs.list(run.path .. "/seg"))
    end)
  end)

  it("says where a source stood before each segment, and forgets no position", function()
    with_spools(function(run)
      local spool = run:open { file_bytes = 16 }
      local id = assert(spool:source 'a "b"\\\1ö')
      for position = 1, 4 do assert.is_true(spool:write(LINE, id, position)) end
      assert.is_true(spool:seal())
      local list = segments_of(sync(spool))
      assert.same({ { -1 }, { 2 } }, { list[1].from, list[2].from })
      assert.same({ 4, false }, { spool:position(id) })
      assert.is_true(spool:write(LINE, id, 9))
      sync(spool)
      assert.same({ 9, 4 }, { spool:position(id) })
      assert(spool:close())
      local again <close>, state = run:open()
      assert.equal(9, state['source/a "b"\\\1ö'])
      assert.equal(4, state["segment/3"].from['a "b"\\\1ö'])
      assert.is_nil((again:source "\xff"))
    end)
  end)

  it("does what is asked for with files, and within itself only", function()
    with_spools(function(run)
      local spool <close> = run:open()
      assert.is_nil((finish(spool, spool:mkdir "failed/1")))
      assert.is_nil((finish(spool, spool:save("failed/1/why.json", "{}"))))
      assert.is_nil((finish(spool, spool:append("failed/1/why.json", "\n"))))
      assert.equal("{}\n", run:read "failed/1/why.json")
      assert.is_nil((finish(spool, spool:rename("failed/1/why.json", "failed/1/x"))))
      local err, file = finish(spool, spool:open "failed/1/x")
      assert.is_nil(err)
      assert.equal(3, file:size())
      assert.equal("missing", finish(spool, spool:open "failed/1/why.json").code)
      assert.equal("missing", finish(spool, spool:rename("none", "failed/1/y")).code)
      assert.is_nil((finish(spool, spool:remove "failed/1/x")))
      assert.is_nil((finish(spool, spool:remove "failed/1/x")))
      for _, name in ipairs { "../x", "/x", "", "a/../../x", "a\0b", ("x"):rep(300) } do
        assert.has_error(function() spool:remove(name) end)
      end
      assert.has_error(function() spool:note "[1]" end)
      assert.has_error(function() spool:note "{}" end)
    end)
  end)

  it("has what was noted, also after many changes of files", function()
    with_spools(function(run)
      local spool = run:open()
      local ticket
      for i = 1, 3000 do ticket = spool:note(('{"batch/%d":{"x":"%s"},"last":%d}'):format(i % 7, ("y"):rep(3000), i)) end
      assert.is_nil((finish(spool, ticket)))
      assert.is_nil((finish(spool, spool:note '{"batch/3":null}')))
      assert.equal(3000, run:look().last)
      assert(spool:close())
      local again <close>, state = run:open()
      assert.equal(3000, state.last)
      assert.is_nil(state["batch/3"])
      assert.equal(3000, #state["batch/4"].x)
      assert(again:close())
    end)
  end)

  it("grows its journal where what it has to say is long", function()
    with_spools(function(run)
      local spool = run:open()
      local long = ("z"):rep(1500000)
      for i = 1, 3 do assert.is_nil((finish(spool, spool:note(('{"k%d":"%s"}'):format(i, long))))) end
      assert(spool:close())
      local again <close>, state = run:open()
      assert.same({ long, long, long }, { state.k1, state.k2, state.k3 })
      assert(again:close())
    end)
  end)

  it("is one process's", function()
    with_spools(function(run)
      local spool <close> = run:open()
      local err = run:refused()
      assert.equal("conflict", err.kind)
      assert.matches("process %d+", err.message)
      assert(spool:close())
      assert(run:open():close())
    end)
  end)

  it("takes no directory for its own that has other things in it, and says what is wrong with others", function()
    with_spools(function(run)
      shell.write(run.directory .. "/file", "x")
      assert.matches("has other things in it", run:refused({ path = run.directory }).message)
      assert.matches("make that first", run:refused({ path = run.directory .. "/none/spool" }).message)
      assert.equal("config", run:refused({ path = run.directory .. "/file" }).kind)
      assert.is_nil((core.spool.look(run.directory)))
    end)
  end)

  it("cannot go on once its directory was removed", function()
    with_spools(function(run)
      local spool <close> = run:open()
      assert(core.fs.remove(run.path))
      assert.is_true(spool:write(LINE))
      local err = finish(spool, spool:sync())
      assert.equal("config", err.kind)
      local no, why = spool:write(LINE)
      assert.is_nil(no)
      assert.matches("its directory was removed", why.message)
    end)
  end)

  -- Waits until something is true of what it says of itself, asking for nothing; it tells that by its descriptor.
  local function wait_for(spool, is_there)
    while not is_there(spool:status()) do
      assert(poll(spool:fd(), 10), "nothing happens")
      spool:take()
    end
  end

  it("says that its directory was removed, also while nothing is written", function()
    with_spools(function(run)
      local spool <close> = run:open()
      assert(core.fs.remove(run.path))
      wait_for(spool, function(status) return status.broken end)
      assert.equal("its directory was removed", spool:status().broken)
    end)
  end)

  it("says that the disk has less left than it is to leave, and has it again, also while nothing is written", function()
    local ROOM <const> = 1 << 30 -- others use the disk, too
    shell.with_directory(function(directory)
      local run = setmetatable({ path = directory .. "/spool" }, Spools)
      local free = run:open():status().free_bytes
      collectgarbage() -- which closes it
      local spool <close> = run:open { limit_free = free - ROOM // 2 }
      assert.is_nil(spool:status().full)
      shell.run(("fallocate -l %d %s/large"):format(ROOM, directory))
      wait_for(spool, function(status) return status.full == "free" end)
      os.remove(directory .. "/large")
      wait_for(spool, function(status) return not status.full end)
    end)
  end)

  it("counts what lies there for somebody to look at", function()
    with_spools(function(run)
      run:open():close()
      shell.run(("mkdir %s/failed/1; yes | head -c 200 >%s/failed/1/0000000001.jsonl"):format(run.path, run.path))
      local spool <close> = run:open { limit_bytes = 190 }
      assert.equal("bytes", spool:status().full)
      assert(core.fs.remove(run.path .. "/failed/1"))
      wait_for(spool, function(status) return not status.full end)
    end)
  end)

  -- Rejects a line, with a good one: both are on the disk then.
  local function reject(spool, line)
    assert.is_true(spool:reject(line))
    assert.equal(9, (spool:write_lines(LINE .. "\n", 1)))
    assert.is_true(spool:commit())
    sync(spool)
  end

  it("is full when too much was rejected, until somebody moves that away", function()
    with_spools(function(run)
      local spool <close> = run:open { limit_rejected = 30 }
      local list = {}
      while not spool:status().full do
        list[#list + 1] = ("rejected %02d"):format(#list)
        reject(spool, list[#list])
      end
      assert.equal("rejected", spool:status().full)
      assert.is_false(spool:write(LINE))
      os.rename(run.path .. "/rejected/records.jsonl", run.directory .. "/moved")
      wait_for(spool, function(status) return not status.full end)
      assert.equal(table.concat(list, "\n") .. "\n", shell.read(run.directory .. "/moved"))
      reject(spool, "another")
      assert.equal("another\n", run:read "rejected/records.jsonl")
      assert.equal(table.concat(list, "\n") .. "\n", shell.read(run.directory .. "/moved"))
    end)
  end)

  it("has what is rejected after somebody has taken the file away, once, also in the middle of a call", function()
    with_spools(function(run)
      do
        local spool <close> = run:open()
        reject(spool, "first")
        assert.is_true(spool:reject "second")
        sync(spool) -- of the call, nothing
        os.remove(run.path .. "/rejected/records.jsonl")
        reject(spool, "third")
        reject(spool, "fourth")
        assert.equal("second\nthird\nfourth\n", run:read "rejected/records.jsonl")
        assert.is_true(spool:reject "fifth")
        spool:rollback()
        os.remove(run.path .. "/rejected/records.jsonl")
        reject(spool, "sixth")
      end
      local spool <close>, state = run:open()
      assert.same({ bytes = 6, records = 1 }, state.rejected)
      reject(spool, "seventh")
      assert.equal("sixth\nseventh\n", run:read "rejected/records.jsonl")
    end)
  end)

  it("is full at its limit, and has room again", function()
    with_spools(function(run)
      local spool <close> = run:open { limit_bytes = 100 }
      local count = 0
      while spool:write(LINE) do
        count = count + 1
        sync(spool)
      end
      assert.is_true(count >= 12 and count <= 14, tostring(count))
      assert.equal("bytes", spool:status().full)
      assert.is_true(spool:seal())
      sync(spool)
      assert.is_nil((finish(spool, spool:remove "seg/0000000001.jsonl")))
      while not spool:write(LINE) do assert(poll(spool:fd(), 10) and (spool:take() or true)) end
    end)
  end)

  it("refuses a call at once that is larger than it may ever be", function()
    with_spools(function(run)
      local spool <close> = run:open { limit_bytes = 100 }
      for _, call in ipairs {
        function() return spool:write('{"n":"' .. ("x"):rep(100) .. '"}') end,
        function() return spool:write_line('{"n":"' .. ("x"):rep(100) .. '"}') end,
        function() return spool:write_lines((LINE .. "\n"):rep(13), 1) end,
      } do
        local no, err = call()
        assert.is_nil(no)
        assert.same({ "limit", "too_large" }, { err.kind, err.code })
      end
      assert.equal(97, (spool:write_lines((LINE .. "\n"):rep(12), 1)))
      assert.same({ "limit", "too_large" }, { select(2, spool:write_lines(LINE .. "\n", 1)).kind,
        select(2, spool:write_lines(LINE .. "\n", 1)).code })
      spool:rollback()
      assert.is_true(spool:write(LINE))
    end)
  end)

  it("ends a call that has begun though it is full, and is not sealed in the middle of one", function()
    with_spools(function(run)
      local spool <close> = run:open { limit_bytes = 100 }
      assert.equal(81, (spool:write_lines((LINE .. "\n"):rep(10), 1)))
      assert.is_true(spool:commit())
      assert.equal(9, (spool:write_lines(LINE .. "\n", 1)))
      sync(spool)
      assert.is_false(spool:seal())
      assert.equal(73, (spool:write_lines((LINE .. "\n"):rep(9), 1)))
      assert.is_true(spool:commit())
      sync(spool)
      assert.equal("bytes", spool:status().full)
      assert.is_false(spool:write(LINE))
      assert.is_true(spool:seal())
    end)
  end)

  it("is full from the beginning when the disk has less left than it is to leave", function()
    with_spools(function(run)
      local spool <close> = run:open { limit_free = math.maxinteger }
      assert.equal("free", spool:status().full)
      assert.is_false(spool:write(LINE))
    end)
  end)

  it("knows the calls that were on the disk when the process was killed, whole, and no others", function()
    with_spools(function(run)
      local output = shell.run(("%s spec/scripts/spools.lua %s"):format(shell.LUA, run.path))
      local durable = math.tointeger(tonumber(output:match "^%d+"))
      assert(durable, output)
      local spool <close>, state = run:open()
      local records, bytes = 0, 0
      for name, segment in pairs(state) do
        if name:find "^segment/" then
          local text = run:read(("seg/%010d.jsonl"):format(name:match "%d+"))
          assert.equal(segment.bytes, #text)
          assert.equal(segment.crc, core.journal.checksum(text))
          records, bytes = records + segment.records, bytes + #text
        end
      end
      assert.is_true(records >= durable * 100)
      assert.equal(0, records % 100) -- a call has so many
      assert.equal(records // 100, state["source/s"])
      assert(spool:close())
    end)
  end)

  -- The journal of a spool that was killed after some notes; the other file is of zeros.
  local function small_journal(run)
    local spool = run:open()
    for i = 1, 3 do assert.is_nil((finish(spool, spool:note(('{"k":%d}'):format(i))))) end
    assert(spool:close())
    local text = run:read "journal.a"
    return text, assert(text:find("\0", 1, true)) - 1
  end

  -- What a disk writes as a whole, at the least.
  local GRAIN <const> = 8

  it("does without a line that was torn, and knows one that is cut for no torn one", function()
    with_spools(function(run)
      local text, length = small_journal(run)
      local before = text:sub(1, length - 1):match "^.*()\n" + 0
      for cut = before + 1, length - 1 do
        shell.write(run.path .. "/journal.a", text:sub(1, cut) .. ("\0"):rep(#text - cut))
        local found, err = core.spool.look(run.path)
        if cut % GRAIN == 0 then
          assert.equal(2, core.json.decode(found).k)
        else
          assert.matches("is damaged", err.message)
        end
      end
      for from = before - before % GRAIN + GRAIN, length - GRAIN, GRAIN do
        shell.write(run.path .. "/journal.a", text:sub(1, from) .. ("\0"):rep(GRAIN) .. text:sub(from + GRAIN + 1))
        assert.equal(2, run:look().k)
      end
    end)
  end)

  it("takes no damaged journal for a good one, whichever bit of it is another", function()
    with_spools(function(run)
      local text, length = small_journal(run)
      for place = 1, length do
        local flipped = string.char(text:byte(place) ~ (1 << place % 8))
        shell.write(run.path .. "/journal.a", text:sub(1, place - 1) .. flipped .. text:sub(place + 1))
        local found, err = core.spool.look(run.path)
        if place == length and length % GRAIN == 0 then
          assert.equal(2, core.json.decode(found).k) -- it may have been torn there
        else
          assert.is_nil(found, ("byte %d"):format(place))
          assert.matches("is damaged", err.message)
          assert.equal("config", run:refused().kind)
        end
      end
    end)
  end)

  it("is not taken for a new one when its journal is gone", function()
    with_spools(function(run)
      local spool = run:open()
      assert.is_true(spool:write(LINE))
      assert(spool:close())
      os.remove(run.path .. "/journal.a")
      os.remove(run.path .. "/journal.b")
      assert.matches("is damaged", run:refused().message)
      assert.equal(LINE .. "\n", run:read "seg/0000000001.jsonl")
    end)
  end)

  it("of a later version is not touched", function()
    with_spools(function(run)
      local text, length = small_journal(run)
      local first = text:match "^[^\n]+"
      local later = first:sub(10):gsub('"version":1', '"version":2')
      local generation = first:match '"generation":(%d+)'
      local sum = core.journal.checksum(("%s 1 "):format(generation) .. later)
      shell.write(run.path .. "/journal.a", sum .. " " .. later .. "\n" .. ("\0"):rep(length))
      assert.matches("a later version", run:refused().message)
    end)
  end)
end)
