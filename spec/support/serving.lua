-- `catalog serve` beside a spec, and requests to it.
local exchange = require "support.exchange"
local json = require("catalog.core").json
local program = require "support.program"
local shell = require "support.shell"

local Serving = {}
Serving.__index = Serving

local serving = {}

--- Starts it, with a spool in a directory; `words` are more of its options, and the rest is as for `program.start`.
function serving.start(directory, words, before, by)
  local started = program.start("http://127.0.0.1:1", ("spec/scripts/serves.lua serve --spool %s/spool %s%s"):format(directory,
    words:find "--dataset" and "" or "--dataset d ", words:find "--listen " and words or "--listen 127.0.0.1:0 " .. words),
    before, by)
  local line = started:line()
  return setmetatable({ program = started, directory = directory, said = line, port = tonumber((line or ""):match ":(%d+)$") },
    Serving)
end

--- Calls `body(server)` with one, and ends it.
function serving.run(words, body, before)
  shell.with_directory(function(directory)
    local server <close> = serving.start(directory, words, before)
    assert(server.said:find "^catalog: takes records at ", server.said)
    body(server)
  end)
end

--- One request. Gives the status, the body (decoded where it is JSON), and the head.
function Serving:request(method, target, headers, body)
  local status, text, head = exchange.request(self.port, method, target, headers, body)
  local is_json = head and head:lower():find("content-type: application/json", 1, true)
  return status, is_json and method ~= "HEAD" and assert(json.decode(text)) or text, head
end

function Serving:post(body, headers, target) return self:request("POST", target or "/", headers, body) end

--- What is in the spool of a stream.
function Serving:taken(name)
  return (shell.run(("cat %s/spool%s/seg/*.jsonl"):format(self.directory, name and "/" .. name or "")))
end

--- Ends it as systemd does. Gives what it said, and its exit status.
function Serving:stop()
  self.program:signal "TERM"
  return self.program:finish()
end

function Serving:__close() self.program:__close() end

return serving
