-- What docs/scale.md and examples/drain say about Kafka, as it stands there but for ports, directories and times.
local kafka = require "support.kafka"
local ports = require "support.ports"
local program = require "support.program"
local shell = require "support.shell"

-- The block of commands that has some text.
local function block(text)
  for commands in shell.read("docs/scale.md"):gmatch "```sh\n(.-)```" do
    if commands:find(text, 1, true) then return commands end
  end
  error("the page has no commands with " .. text)
end

local Guide = {}
Guide.__index = Guide

local function new_guide(directory)
  local port = { ["9092"] = ports.free(), ["9093"] = ports.free(), ["8080"] = ports.free() }
  shell.run(("mkdir %s/bin"):format(directory))
  local self = setmetatable({ directory = directory, port = port }, Guide)
  shell.write(directory .. "/bin/catalog", ("#!/bin/sh\nexec %s lua/catalog/cli/main.lua \"$@\"\n"):format(
    "env " .. shell.LUA))
  shell.run(("chmod +x %s/bin/catalog"):format(directory))
  return self
end

-- A text of the guide, for this machine.
function Guide:adapt(text)
  return (text:gsub("%f[%d]%d%d%d%d%f[%D]", self.port):gsub("/tmp/catalog%-", self.directory .. "/"):gsub("eval [^\n]*", "")
    :gsub("100001 400000", "2001 9000"):gsub("100000", "2000")
    :gsub("roll%-seconds 10", "roll-seconds 1 --kafka-set session.timeout.ms=6000"))
end

-- Writes commands to a file, and gives the words that run them; the last of them is what the shell becomes.
function Guide:words(name, text)
  local path = ("%s/%s.sh"):format(self.directory, name)
  local prepared = ("PATH=%s/bin:$PATH\n%s"):format(self.directory, self:adapt(text))
  shell.write(path, (prepared:gsub("\ncatalog (%l+)", "\nexec catalog %1")))
  return "sh " .. path
end

function Guide:start(name, text) return program.run("", self:words(name, text)) end

function Guide:run(name, text)
  local said, status = shell.run("timeout 60 " .. self:words(name, text))
  assert(status == 0, said)
  return said
end

local function wait_for(started, pattern)
  local said = {}
  repeat
    said[#said + 1] = assert(started:line(), table.concat(said, "\n"))
  until said[#said]:find(pattern)
end

-- Runs commands again until they say something.
function Guide:wait(name, text, pattern)
  local said
  for _ = 1, 120 do
    said = shell.run("timeout 20 " .. self:words(name, text))
    if said:find(pattern) then return end
    os.execute "sleep 0.25"
  end
  error(("%s does not come to that:\n%s"):format(name, said))
end

describe("the guide to Kafka on one machine", function()
  it("leads to each record being there once, over the death of a member", function()
    if not kafka.has_apache() then return pending "needs Apache Kafka: make kafka" end
    shell.with_directory(function(directory)
      local guide = new_guide(directory)
      shell.write(directory .. "/broker.properties", guide:adapt(shell.read "examples/drain/broker.properties")
        .. "group.min.session.timeout.ms=1000\n")
      local format, run = block("StorageTool"):gsub("examples/drain", directory):match "(java [^\n]*)\n(java [^\n]*)"
      guide:run("format", format)
      local broker <close> = guide:start("broker", "exec " .. run)
      local emulator <close> = guide:start("emulator", (block("catalog emulator"):gsub("emulator", "%0 --port 8080")))
      guide:wait("brokers", "kcat -b 127.0.0.1:9092 -L", "1 brokers")
      guide:run("publish", block "seq 1 100000")
      local one <close> = guide:start("one", block "--roll-seconds 10")
      wait_for(one, "has 6 partitions now")
      wait_for(one, "success, 2000 records")
      local two <close> = guide:start("two", block "--roll-seconds 10")
      wait_for(two, "has 3 partitions now")
      guide:run("publish", block "seq 100001 400000")
      two:signal "KILL"
      guide:wait("status", block "group status", ("[^\n]*\n" .. ("[^\n]*, 0 messages behind it\n"):rep(6)))
      one:signal "INT"
      assert.equal(0, select(2, one:finish()))
      local variables = block("group status"):match "(export.*)catalog group"
      assert.equal("9000 records, each there 1 times\n", guide:run("count", variables .. block "uniq -c"))
      emulator:signal "INT"
      broker:signal "KILL"
    end)
  end)
end)

describe("what examples/drain has", function()
  it("is a unit that systemd takes", function()
    if shell.run "command -v systemd-analyze" == "" then return pending "systemd-analyze is not installed" end
    shell.with_directory(function(directory)
      local unit = shell.read "examples/drain/catalog-drain.service":gsub("/usr/bin/catalog", "/bin/true")
      shell.write(directory .. "/catalog-drain.service", (unit:gsub("Documentation=[^\n]*\n", "")))
      local output, status = shell.run(("systemd-analyze verify %s/catalog-drain.service"):format(directory))
      assert.same({ "", 0 }, { output, status })
    end)
  end)

  it("is a manifest that can be read, and has commands that are understood", function()
    local checked, status = shell.run("python3 -c 'import sys, yaml; d = yaml.safe_load(open(sys.argv[1])); "
      .. 'print(" ".join(d["spec"]["template"]["spec"]["containers"][0]["args"]))\' examples/drain/kubernetes.yaml')
    if checked:find "No module named 'yaml'" then return pending "python3-yaml is not installed" end
    assert.equal(0, status, checked)
    local unit = shell.read "examples/drain/catalog-drain.service":match "ExecStart=/usr/bin/(.-)\nExecReload":gsub("\\\n", "")
    for _, words in ipairs { checked, unit } do
      words = words:gsub("^catalog", shell.LUA .. " lua/catalog/cli/main.lua"):gsub("/etc/kafka/", "examples/drain/")
        :gsub("/etc/catalog/", "examples/drain/"):gsub("/etc/metrics/token", "/nowhere/token"):gsub(":9187", ":0")
        :gsub("k1:9092,k2:9092", "127.0.0.1:1")
      local said = shell.run(("KAFKA_SASL_PASSWORD=p AEP_ORG=o AEP_API_KEY=k AEP_ACCESS_TOKEN=t "
        .. "AEP_BASE_URL=http://127.0.0.1:1 timeout 2 env %s"):format(words))
      assert.matches(words:find "nowhere" and "/nowhere/token" or "Connection refused", said)
    end
  end)
end)
