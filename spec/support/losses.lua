-- The power is lost at random moments of a process that uses a spool; each time what was told to be on the disk has to
-- be there, once.
local core = require "catalog.core"
local disk = require "support.disk"
local many = require "support.many_spools"
local power = require "support.power"
local shell = require "support.shell"

local losses = {}

-- How often the power is lost of one spool.
local ROUNDS <const> = 5

-- The last of what was said under a name: numbers.
local function last_said(output, name)
  local last
  for line in output:gmatch(name .. "\t([^\n]+)\n") do last = line end
  local list = {}
  for number in (last or ""):gmatch "%d+" do list[#list + 1] = math.tointeger(tonumber(number)) end
  return list[1] or 0, list[2] or 0
end

local function check(path, told)
  local one = many.new(path)
  local state, err = one:open()
  if not state then error(tostring(err), 0) end
  one:close()
  local text = one:content()
  local last = state["source/s"] or 0
  assert(text == many.numbers((state.gone or 0) + 1, last), "the records are others")
  assert(last >= told.at, ("up to %d was on the disk, and up to %d is"):format(told.at, last))
  assert((state.k or 0) >= told.noted, "what was noted is not")
  local _, rejected = shell.read(path .. "/rejected/records.jsonl"):gsub("[^\n]+\n", function(line)
    assert(line == '{"reason":"it is no JSON object"}\n', line)
  end)
  assert(rejected >= told.rejected, "what was rejected is not there")
  assert(rejected == (state.rejected and state.rejected.records or 0), "more is rejected than was told")
  return { at = last, noted = state.k or 0, rejected = rejected }
end

-- One run that is killed, and the loss. Gives the directory that is there then.
local function lose(run, path, round, seed)
  local before = power.of(path)
  local trace = path .. ".trace"
  math.randomseed(seed)
  local calls = math.random(2, 400) + (round == 1 and math.random(4) > 1 and 130 or 0)
  local output = disk.run(("spec/scripts/disk_writes.lua %s %s %d %d"):format(path, trace, calls, seed))
  if output:find "lua" then error(output, 0) end
  local at, rejected = last_said(output, "told")
  local told = run.told
  run.told = {
    at = math.max(told.at, at), rejected = math.max(told.rejected, rejected),
    noted = math.max(told.noted, (last_said(output, "noted"))),
  }
  before:read(trace)
  before:lose()
  local after = path .. "-" .. round
  before:make(after)
  core.fs.remove(path)
  os.remove(trace)
  return after
end

--- Loses the power so many times. An error says of which seed.
-- @tparam integer count
-- @tparam integer seed
-- @treturn integer how many records there were
function losses.run(count, seed)
  local records = 0
  disk.with_directory(function(directory)
    local path, run
    for i = 0, count - 1 do
      local round = i % ROUNDS + 1
      if round == 1 then
        if path then core.fs.remove(path) end
        path, run = ("%s/%d"):format(directory, i), { told = { at = 0, noted = 0, rejected = 0 } }
        assert(core.fs.mkdir(path))
      end
      local fine, raised = pcall(function()
        path = lose(run, path, round, seed + i)
        local before = run.told.at
        run.told = check(path, run.told)
        records = records + run.told.at - before
      end)
      if not fine then
        error(("seed %d, round %d: %s"):format(seed + i, round, raised), 0)
      end
    end
  end)
  return records
end

--- Loses it in some processes at once, since most of the time goes into waiting. Gives what they print.
-- @tparam integer processes
-- @tparam integer count of each
-- @tparam integer seed
function losses.run_many(processes, count, seed)
  local started, printed = {}, {}
  for i = 1, processes do
    started[i] = shell.start(("%s spec/scripts/loses_power.lua %d %d"):format(shell.LUA, count, seed + i * count))
  end
  local all = true
  for i, finish in ipairs(started) do
    local output, status = finish()
    printed[i], all = output, all and status == 0
  end
  if not all then error(table.concat(printed, "\n"), 0) end
  return table.concat(printed)
end

return losses
