--- Adapters: how a host's event loop turns this module. `catalog.loop.cqueues` and `catalog.loop.luv` are two.
--
-- For a host whose coroutines can only pause, `wait` alone is enough; another has `watch`, `suspend`, `resume`, and
-- perhaps `current`.
-- @module catalog.loop.adapter
local options = require "catalog.base.options"

local loop = {}

--- An adapter is a table of functions.
-- @table catalog.loop.adapter
-- @tfield ?function watch `watch(fd, callback)` lets the loop call `callback` whenever the descriptor can be read,
--   until that returns false. It may return a function that ends the watch at once; one that returns none is called
--   once more to end it
-- @tfield ?function suspend `suspend()` lets the running coroutine wait until `resume(thread)` is called with it. It
--   may return early
-- @tfield ?function resume `resume(thread)` lets a coroutine that was suspended go on in its turn. It is called from
--   another coroutine, from the callback of a watch, or from outside the loop, and returns at once
-- @tfield ?function current `current()` gives nil where the loop does not run, and else a key that tells it from others
--   of its kind; and false as a second value in a coroutine that the loop cannot suspend. Without it, whatever can
--   yield is taken for a coroutine of the loop
-- @tfield ?function wait `wait(fd, seconds)` lets the running coroutine wait until the descriptor can be read, for so
--   many seconds at the most. It may return early. One coroutine at a time is given the descriptor; the others are
--   given nil, and few milliseconds

local SCHEMA <const> = {
  watch = "callable", suspend = "callable", resume = "callable", current = "callable", wait = "callable",
}

-- What adapters had in an earlier version.
local GONE <const> = { yieldable = "current", spawn = "watch" }

--- Checks an adapter.
-- @local
-- @tparam ?table given
-- @tparam integer level who is to blame, as in `error`
-- @raise a function is missing, unknown, or none
function loop.check(given, level)
  if given == nil then return end
  local function refuse(text, ...) error("bad option 'loop' for client (" .. text:format(...) .. ")", level + 2) end
  for name, other in pairs(GONE) do
    if given[name] ~= nil then
      refuse("an adapter is { watch, suspend, resume, current } now, or { wait }; %s takes the place of %s",
        other, name)
    end
  end
  options.check(given, SCHEMA, "client.loop", level + 1)
  if given.wait and (given.watch or given.suspend or given.resume) then
    refuse("it has wait alone, or watch, suspend and resume: an adapter that can suspend has watch(fd, callback) in"
      .. " place of wait")
  end
  if not given.wait and not (given.watch and given.suspend and given.resume) then
    refuse "it needs watch(fd, callback), suspend() and resume(thread), or wait(fd, seconds) alone"
  end
end

return loop
