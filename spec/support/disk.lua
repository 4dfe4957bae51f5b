-- A disk that fails: scripts that run with spec/scripts/disk.c before the C library.
local shell = require "support.shell"

local disk = {}

local BUILD <const> = os.getenv "CATALOG_BUILD" or "build"
local LIBRARY <const> = BUILD .. "/disk.so"

--- The words of a command that runs a script. A sanitizer's library comes first.
-- @tparam string words the script and its arguments
function disk.command(words)
  local before = shell.PRELOAD:match "^LD_PRELOAD=(%S+)"
  return ("DISK=%s LD_PRELOAD=%s%s timeout 100 %s %s"):format(LIBRARY, before and before .. ":" or "", LIBRARY,
    shell.LUA:sub(#shell.PRELOAD + 1), words)
end

--- Starts a script, as `shell.start`.
function disk.start(words) return shell.start(disk.command(words)) end

--- Runs a script, as `shell.run`.
function disk.run(words) return shell.run(disk.command(words)) end

--- Runs spec/scripts/disk_fails.lua with these arguments, so many at once.
function disk.fails(directory, runs, at_once)
  for i = 1, #runs, at_once do
    local started = {}
    for k = i, math.min(i + at_once - 1, #runs) do
      started[k] = disk.start(("spec/scripts/disk_fails.lua %s/%d %s"):format(directory, k, runs[k]))
    end
    for k, finish in pairs(started) do
      local output, status = finish()
      if status ~= 0 then error(runs[k] .. ": " .. output, 0) end
    end
  end
end

--- Calls `body(directory)`, in memory where there is room: what is shown does not need a disk, and syncs cost time.
function disk.with_directory(body)
  local path = shell.run([[
    room=$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)
    if [ "${room:-0}" -gt 1000000 ]; then mktemp -d -p /dev/shm; else mktemp -d; fi]]):gsub("%s+$", "")
  local fine, raised = xpcall(body, debug.traceback, path)
  shell.run("rm -rf " .. shell.quote(path))
  if not fine then error(raised, 0) end
end

return disk
