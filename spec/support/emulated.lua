-- Requests to an emulator, one by one, as no client of ours sends them.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local exchange = require "support.exchange"
local program = require "support.program"
local shell = require "support.shell"

local emulated = {}

local BATCHES <const> = "/data/foundation/import/batches"
local JSON <const> = { ["Content-Type"] = "application/json" }
local OCTETS <const> = { ["Content-Type"] = "application/octet-stream" }

--- The headers that the gateway wants, with changes; false: without that one.
function emulated.headers(changes)
  local all = {
    Authorization = "Bearer token", ["x-api-key"] = "key", ["x-gw-ims-org-id"] = "ORG@AdobeOrg",
    ["x-sandbox-name"] = "prod",
  }
  for name, value in pairs(changes or {}) do all[name] = value or nil end
  return all
end

--- Gives the status, the body and the head of the answer.
function emulated.request(server, method, target, body, changes)
  return exchange.request(server.port, method, target, emulated.headers(changes), body)
end

function emulated.get(server, target, changes)
  return emulated.request(server, "GET", target, nil, changes)
end

--- Posts a creation. Gives the status, what was answered, and the head.
function emulated.post(server, body, changes)
  local headers = { ["Content-Type"] = "application/json" }
  for name, value in pairs(changes or {}) do headers[name] = value end
  local status, answer, head = emulated.request(server, "POST", BATCHES, body or '{"datasetId":"5c8c3c555033b814b69f947f"}',
    headers)
  return status, assert(core.json.decode(answer)), head
end

--- Creates a batch of JSON lines, or one with the fields. Gives its id.
function emulated.create(server, fields)
  local body = assert(core.json.encode(fields or { datasetId = "d", inputFormat = { format = "json" } }))
  local _, answer = emulated.request(server, "POST", BATCHES, body, JSON)
  return assert(core.json.decode(answer)).id
end

--- The target of a file.
function emulated.file(id, name)
  return ("%s/%s/datasets/d/files/%s"):format(BATCHES, id, name)
end

function emulated.put(server, id, name, content)
  return emulated.request(server, "PUT", emulated.file(id, name), content, OCTETS)
end

function emulated.part(server, id, name, first, content)
  return emulated.request(server, "PATCH", emulated.file(id, name), content, {
    ["Content-Type"] = "application/octet-stream", ["Content-Range"] = ("bytes %d-%d"):format(first, first + #content - 1),
  })
end

function emulated.act(server, id, action)
  return emulated.request(server, "POST", ("%s/%s?action=%s"):format(BATCHES, id, action), "")
end

function emulated.look_up(server, id)
  local _, answer = emulated.get(server, "/data/foundation/catalog/batches/" .. id)
  return assert(core.json.decode(answer))[id]
end

function emulated.detail(answer)
  return assert(core.json.decode(answer)).detail
end

--- Calls `body(server, directory)` with an emulator that keeps its data in a directory.
function emulated.with_server(body, options)
  shell.with_directory(function(directory)
    local given = { data_dir = directory .. "/data" }
    for name, value in pairs(options or {}) do given[name] = value end
    local server <close> = assert(emulator.start(given))
    body(server, given.data_dir)
  end)
end

--- A file that an emulator keeps.
function emulated.stored(directory, id, name)
  return shell.read(("%s/files/%s/%s"):format(directory, id, name))
end

--- An emulator of its own process, and what it says before it listens.
function emulated.start_beside(directory)
  local running = program.start("", "lua/catalog/cli/main.lua emulator --port 0 --data-dir " .. directory)
  local before = {}
  while not running.port do
    local line = assert(running:line())
    running.port = tonumber(line:match "^The emulator listens on http://127.0.0.1:(%d+)")
    if not running.port then before[#before + 1] = line end
  end
  return running, table.concat(before, "\n")
end

function emulated.files_below(path)
  return (shell.run("find " .. path .. " -type f | wc -l"):gsub("%s", ""))
end

return emulated
