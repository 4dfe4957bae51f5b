--- Adapters: how a host's event loop waits for this module. `catalog.loop.cqueues` and `catalog.loop.luv` are two.
--
-- An adapter is a table of functions. One is enough:
--
-- - `wait(fd, seconds)` lets the running coroutine wait until the descriptor can be read, and the loop turn. It may
--   return early. The descriptor can be read whenever there is something to do, a time that is over included, so an
--   adapter may overlook `seconds`.
--
-- With two more, one coroutine waits on the descriptor for all, and wakes the others:
--
-- - `suspend()` lets the running coroutine wait until `resume(thread)` is called with it. That call comes from another
--   coroutine, or from outside the loop; it returns at once, and `thread` goes on in its turn.
--
-- And three that help:
--
-- - `yieldable()` says whether the running coroutine is one of the loop's, which can wait. Default: whether it can
--   yield.
-- - `current()` gives what tells the loop that runs from others of its kind, where there may be several.
-- - `spawn(body)` runs a function in a new coroutine of the loop, for `catalog.spawn`.
-- @module catalog.loop
local options = require "catalog.options"

local loop = {}

local SCHEMA <const> = {
  wait = "callable", suspend = "callable", resume = "callable", yieldable = "callable", current = "callable",
  spawn = "callable",
}

--- Checks an adapter.
-- @tparam ?table given
-- @tparam integer level who is to blame, as in `error`
-- @raise a function is missing, unknown, or none
function loop.check(given, level)
  if given == nil then return end
  options.check(given, SCHEMA, "client.loop", level + 1)
  if not given.wait then
    error("bad option 'loop' for client (it needs a function wait(fd, seconds))", level + 1)
  end
  if (given.suspend == nil) ~= (given.resume == nil) then
    error("bad option 'loop' for client (suspend and resume go together)", level + 1)
  end
end

return loop
