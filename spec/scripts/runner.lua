-- Runs the specs of a file in a Lua that busted does not run in: LUA spec/scripts/runner.lua FILE
-- Of busted it knows what the specs here use; their asserts are luassert's. Prints how many passed and failed, and the
-- failures; what needs a module which this Lua does not have is passed over.
local FILE <const> = arg[1]
local MISSING <const> = { ["_cqueues"] = true, luv = true }

local passed, failed = 0, 0
local block = { before = {}, after = {} }
local cleanups

local function report(name, why)
  local missing = why:match "module '([%w_]+)[%w_.]*' not found"
  if MISSING[missing] then
    print(("%s: %s: passed over, there is no %s"):format(FILE, name, missing))
  else
    failed = failed + 1
    io.stderr:write(("%s: %s\n%s\n"):format(FILE, name, why))
  end
end

-- luassert's errors are tables with a message.
local function traced(why)
  return debug.traceback(type(why) == "table" and why.message or tostring(why), 2)
end

local function run_all(steps)
  for _, step in ipairs(steps) do step() end
end

local language = { assert = require "luassert" }

function language.before_each(step) table.insert(block.before, step) end

function language.setup(step) step() end

function language.teardown(step) table.insert(block.after, step) end

function language.finally(step) table.insert(cleanups, step) end

function language.pending(why) print(("%s: pending: %s"):format(FILE, why)) end

function language.describe(name, body)
  local outer = block
  block = { name = name, before = table.move(outer.before, 1, #outer.before, 1, {}), after = {} }
  body()
  run_all(block.after)
  block = outer
end

function language.it(name, body)
  cleanups = {}
  run_all(block.before)
  local ok, why = xpcall(body, traced)
  run_all(cleanups)
  if ok then passed = passed + 1 else report(block.name .. " " .. name, why) end
end

local ok, why = xpcall(assert(loadfile(FILE, "t", setmetatable(language, { __index = _G }))), traced)
if not ok then report("all of it", why) end
print(("%s: %d passed, %d failed"):format(FILE, passed, failed))
os.exit(failed == 0, true)
