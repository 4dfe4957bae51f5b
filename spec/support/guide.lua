-- Runs the fenced blocks of a page as a reader does: one after another, in one shell, in a directory of their own,
-- against an emulator. A comment above a block may say `file` (its name: it is saved, for a later block to use), or
-- `beside` (it runs in a terminal of its own, and the next block comes when it has printed this).
local emulator = require "catalog.emulator"
local pages = require "support.pages"
local shell = require "support.shell"

local guide = {}

local Run = {}
Run.__index = Run

-- Where the pages have what is beyond the directory.
local MOVED <const> = { "/data", "/var/spool", "/var/lib", "/usr/local", "/etc/catalog", "/run/catalog" }

-- Programs that stand before those of the system: the ones of the build tree, `make` in the repository (whose specs may
-- be the ones of a make; one at a time, as they share its build), and what would ask for a password.
local PROGRAMS <const> = {
  ["lua5.4"] = 'exec env %LUA% "$@"',
  catalog = 'exec env %LUA% "%ROOT%/lua/catalog/cli/main.lua" "$@"',
  make = 'case "$1" in test|demo|deps*|specs) echo "make $1 is not for a spec"; exit 1;; esac\n'
    .. 'unset MAKEFLAGS MAKELEVEL MFLAGS\n'
    .. 'exec flock "%ROOT%/Makefile" "%MAKE%" --no-print-directory -C "%ROOT%" "$@"',
  sudo = 'exec "$@"',
}

local BEGIN <const> = [[
cd %DIR%/work
unset http_proxy https_proxy all_proxy
export HOME=%DIR%/root PATH=%DIR%/bin:"$PATH" LUA_PATH="%ROOT%/lua/?.lua;;" LUA_CPATH="%BUILD%/?.so;;"
export AEP_BASE_URL=%URL% AEP_IMS_URL=%URL% AEP_ORG=DEMO@AdobeOrg AEP_API_KEY=demo-key AEP_ACCESS_TOKEN=demo-token
trap 'status=$?; set +e; jobs -p >%DIR%/jobs; kill $(cat %DIR%/jobs) 2>/dev/null; wait; echo $status >%DIR%/status' EXIT
echo 0 >%DIR%/at
wait_for() { while kill -0 $!; do if grep -q "$2" $1; then return; fi; sleep 0.05; done; return 1; }
set -e
]]

-- A block runs in the shell of those before it; what it prints is its own.
local BLOCK <const> = [[
echo %N% >%DIR%/at; exec >%DIR%/out.%N% 2>&1
%RUN%
]]

-- A text of the page as it is here.
local function moved(self, text)
  for from, to in pairs(self.changes) do text = text:gsub(from:gsub("%p", "%%%0"), to) end
  for _, place in ipairs(MOVED) do
    text = text:gsub("%f[%w/]" .. place:gsub("%p", "%%%0") .. "%f[^%w]", self.directory .. "/root" .. place)
  end
  return text
end

local function filled(text, values)
  return (text:gsub("%%(%u+)%%", values))
end

-- What runs a block, as words of the shell; nil: nothing does.
local function runner(self, block, number)
  local path = ("%s/block.%d"):format(self.directory, number)
  if block.file then
    shell.write(("%s/work/%s"):format(self.directory, block.file), moved(self, block.text))
  elseif block.beside then
    shell.write(path, "exec " .. moved(self, block.text))
    return ("sh %s &\nwait_for %s/out.%d %s"):format(path, self.directory, number, shell.quote(block.beside))
  elseif block.language == "sh" then
    shell.write(path, moved(self, block.text))
    return ". " .. path
  elseif block.language == "bash" then
    shell.write(path, moved(self, block.text))
    return "bash -e " .. path
  elseif block.language == "lua" then
    shell.write(path, moved(self, block.text))
    return "lua5.4 " .. path
  end
end

local function script(self, is_elsewhere)
  local parts = { filled(BEGIN, self.values) }
  for number, block in ipairs(self.blocks) do
    local run = not is_elsewhere(block) and runner(self, block, number)
    if run then
      self.values.N, self.values.RUN = tostring(number), run
      parts[#parts + 1] = filled(BLOCK, self.values)
    end
  end
  return table.concat(parts)
end

local function place_of(program) return (shell.run("command -v " .. program):gsub("%s+$", "")) end

--- Begins to run the blocks of a page.
-- @tparam string path of the page
-- @tparam function is_elsewhere whether a block is not run here
-- @tparam table changes texts of the page to what they are here, such as brokers
function guide.start(path, is_elsewhere, changes)
  local directory = shell.run("mktemp -d"):gsub("%s+$", "")
  local self = setmetatable({ directory = directory, server = assert(emulator.start {}), changes = changes }, Run)
  self.blocks = pages.blocks(shell.read(path))
  self.values = {
    DIR = directory, ROOT = shell.run("pwd"):gsub("%s+$", ""), URL = self.server.url,
    LUA = shell.PRELOAD .. place_of(shell.INTERPRETER), MAKE = place_of "make",
    BUILD = shell.run(("realpath '%s'"):format(os.getenv "CATALOG_BUILD" or "build")):gsub("%s+$", ""),
  }
  shell.run(("cd %s && mkdir -p work bin root%s"):format(directory, table.concat(MOVED, " root")))
  shell.run(("ln -s %s/examples %s/work"):format(self.values.ROOT, directory))
  for name, body in pairs(PROGRAMS) do
    shell.write(("%s/bin/%s"):format(directory, name), "#!/bin/sh\n" .. filled(body, self.values) .. "\n")
  end
  shell.run(("chmod 755 %s/bin/*"):format(directory))
  shell.write(directory .. "/script", script(self, is_elsewhere))
  self.wait = shell.start(("cd %s && timeout -k 5 300 sh script"):format(directory))
  return self
end

-- What differs from one run to the next.
local VARYING <const> = {
  { ("%x"):rep(32), "ID" }, { "%f[%w]" .. ("[0-9A-HJKMNP-TV-Z]"):rep(26) .. "%f[%W]", "ID" },
  { ("%x"):rep(8) .. "%-" .. ("%x"):rep(4) .. "%-%x[%x-]+", "ID" }, { "%f[%x]" .. ("%x"):rep(24) .. "%f[%X]", "ID" },
  { "%d%d%d%d%-%d%d%-%d%d[T ]%d%d:%d%d:%d%d[.%d]*", "TIME" }, { "%f[%d]%d%d%d%d%d%d%d%d%d%d%d%d%d%f[%D]", "MS" },
  { "%f[%w]%d[%d.]*( s%f[%W])", "N%1" }, { "%f[%w]%d[%d.]*( seconds?)", "N%1" }, { "127%.0%.0%.1:%d+", "LOCAL" },
  { "[ \t]+", " " }, { "%s+$", "" },
}

local function normalised(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    for _, pair in ipairs(VARYING) do line = line:gsub(pair[1], pair[2]) end
    if line ~= "" then lines[#lines + 1] = line end
  end
  return lines
end

-- Whether a line is the one that is shown, in which `...` is any text.
local function is_line(line, shown)
  local pattern = shown:gsub("%p", "%%%0"):gsub("%%%.%%%.%%%.", ".*")
  return line:find("^" .. pattern .. "$") ~= nil
end

-- Whether lines from `i` on are the shown ones from `k` on; a line of `...` is any number of lines.
local function fit(lines, shown, i, k)
  if k > #shown then return i > #lines end
  if shown[k] == "..." then
    for from = i, #lines + 1 do
      if fit(lines, shown, from, k + 1) then return true end
    end
    return false
  end
  return i <= #lines and is_line(lines[i], shown[k]) and fit(lines, shown, i + 1, k + 1)
end

--- Whether an output is what a page shows.
function guide.matches(output, shown)
  return fit(normalised(output), normalised(shown), 1, 1)
end

--- Waits until the page has come to its end. Gives the exit status and, should it not be 0, what was printed last.
function Run:finish()
  local said = self.wait()
  self.wait = nil
  local path = self.directory .. "/status"
  local ended = io.open(path) and tonumber(shell.read(path)) or -1
  if ended == 0 then return 0 end
  local at = tonumber(shell.read(self.directory .. "/at"))
  return ended, ("line %d: %s\n%s"):format(at > 0 and self.blocks[at].line or 0, self:output(at) or "", said)
end

--- What a block has printed; nil: it was not run.
function Run:output(number)
  local file <close> = io.open(("%s/out.%d"):format(self.directory, number))
  return file and file:read "a":gsub(self.directory:gsub("%p", "%%%0") .. "/root", "")
    :gsub(self.directory:gsub("%p", "%%%0") .. "/work/?", "")
end

--- Leaves nothing behind.
function Run:close()
  if self.wait then self.wait() end
  self.server:stop()
  shell.run("rm -rf " .. shell.quote(self.directory))
end

return guide
