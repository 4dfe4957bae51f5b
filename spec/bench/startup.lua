--- What is measured of the start: how long `require "catalog"` takes, against a Lua module that is linked with libcurl
-- and does nothing.
local bare = require "bench.bare"
local core = require "catalog.core"

local MORE <const> = 0.003 -- seconds

local startup = {}

-- `linked` does nothing, `begun` what every program with libcurl must do first. The functions of Lua and libcurl that
-- they use are declared here, so that no headers have to be found.
local SOURCE <const> = [[
int luaopen_linked(void *L);
int luaopen_begun(void *L);
int curl_global_init(long flags);
int luaopen_linked(void *L) { (void)L; return 0; }
int luaopen_begun(void *L) { (void)L; return curl_global_init(3), 0; }
]]

local function make_modules(directory)
  local source = directory .. "/module.c"
  local file = assert(io.open(source, "w"))
  assert(file:write(SOURCE))
  assert(file:close())
  for _, name in ipairs { "linked", "begun" } do
    assert(os.execute(("%s -shared -fPIC -Wl,--no-as-needed -o '%s/%s.so' '%s' -lcurl"):format(
      os.getenv "CC" or "cc", directory, name, source)))
  end
end

-- The seconds from the start of a program to its end.
local function seconds(bench, program)
  local began = bare.now()
  bare.over(bare.spawn("/usr/bin/env", bench.lua, "-e", program), true)
  return bare.now() - began
end

local function turn_of(bench, programs, backwards)
  local turn = {}
  for k = 1, #programs do
    local side = programs[backwards and #programs + 1 - k or k]
    turn[side[1]] = seconds(bench, side[2])
  end
  return turn
end

--- Measures all of it.
function startup.run(bench)
  local directory <close> = setmetatable({ assert(core.fs.temporary()) }, {
    __close = function(self) core.fs.remove(self[1]) end,
  })
  make_modules(directory[1])
  local path = ("package.cpath = '%s/?.so'; "):format(directory[1])
  local programs, turns = {
    { "lua", "" }, { "linked", path .. "require 'linked'" }, { "begun", path .. "require 'begun'" },
    { "ours", "require 'catalog'" },
  }, {}
  turn_of(bench, programs)
  for i = 1, bench.size.starts do turns[i] = turn_of(bench, programs, i % 2 == 0) end
  local function more(than)
    return bench.median_of(turns, function(turn) return (turn.ours - turn[than]) * 1e3 end)
  end
  bench.row("start-up: require, to a module linked with libcurl", "<= 3 ms more", ("%+.2f ms"):format(more "linked"),
    more "linked" <= MORE * 1e3)
  bench.note("%+.2f ms to one that calls curl_global_init, %+.2f to Lua alone, which takes %.2f; %d starts", more "begun",
    more "lua", bench.median_of(turns, function(turn) return turn.lua * 1e3 end), #turns)
end

return startup
