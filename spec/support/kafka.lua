-- A Kafka for specs: Apache's, where `make kafka` has fetched it, and else one that librdkafka plays.
local ports = require "support.ports"
local shell = require "support.shell"

local kafka = {}

local Broker = {}
Broker.__index = Broker

local JARS <const> = "build/kafka"

local CONFIG <const> = [[
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%s
listeners=PLAINTEXT://127.0.0.1:%s,CONTROLLER://127.0.0.1:%s
advertised.listeners=PLAINTEXT://127.0.0.1:%s
controller.listener.names=CONTROLLER
log.dirs=%s/logs
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=true
num.partitions=%d
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=0
]]

local function java(words)
  return ("java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp '%s/*' %s"):format(JARS, words)
end

-- Starts a program whose output goes to a file, with a lock that says whether it lives.
local function begin(self, words)
  shell.write(self.directory .. "/out", "") -- who reads it may be there first
  local command = ("exec setsid sh -c 'echo $$ >%s/pid; exec %s' >%s/out 2>&1 </dev/null &"):format(
    self.directory, words:gsub("'", "'\\''"), self.directory)
  assert(os.execute(command))
end

local function is_up(self)
  local _, status = shell.run(("timeout 5 kcat -b %s -L"):format(self.brokers))
  return status == 0
end

local function wait_until_up(self)
  for _ = 1, 60 do
    if is_up(self) then return end
    os.execute "sleep 0.25"
  end
  error("the broker does not come up:\n" .. shell.read(self.directory .. "/out"))
end

local function start_apache(self, partitions)
  local port, controller = ports.free(), ports.free()
  self.brokers = "127.0.0.1:" .. port
  shell.write(self.directory .. "/server.properties", CONFIG:format(controller, port, controller, port, self.directory,
    partitions))
  local said, status = shell.run(java(("kafka.tools.StorageTool format -t catalogcatalogcatalog0 -c %s"):format(
    self.directory .. "/server.properties")))
  assert(status == 0, said)
  self:start()
end

--- Whether Apache Kafka is there.
function kafka.has_apache()
  local _, _, status = os.execute(("test -f %s/fetched && command -v java >/dev/null"):format(JARS))
  return status == 0
end

local function start_mock(self, partitions)
  shell.write(self.directory .. "/out", "")
  begin(self, ("sh -c \"sleep 900 | %s/mock_kafka %d\""):format(os.getenv "CATALOG_BUILD" or "build", partitions))
  for _ = 1, 200 do
    self.brokers = shell.read(self.directory .. "/out"):match "^%S+:%d+"
    if self.brokers then return end
    os.execute "sleep 0.05"
  end
  error "the cluster that librdkafka plays does not come up"
end

--- Starts a broker: `brokers`, `is_apache`. Topics are made when something is sent to them.
-- @tparam integer partitions of each topic
-- @tparam ?boolean is_played true: the one that librdkafka plays, also where there is Apache's: it is there at once
function kafka.start(partitions, is_played)
  local directory = shell.run("mktemp -d"):gsub("%s+$", "")
  local self = setmetatable({ directory = directory, is_apache = not is_played and kafka.has_apache() }, Broker)
  local fine, raised = pcall(self.is_apache and start_apache or start_mock, self, partitions)
  if fine then return self end
  self:stop()
  error(raised, 0)
end

--- Ends it, and leaves nothing of it.
function Broker:stop()
  self:kill()
  shell.run("rm -rf " .. shell.quote(self.directory))
end

--- Starts it once more, after it was killed.
function Broker:start()
  begin(self, java(("kafka.Kafka %s/server.properties"):format(self.directory)))
  wait_until_up(self)
end

--- Kills it, at once, and waits until it is no more.
function Broker:kill()
  shell.run(([[
    pid=$(cat %s/pid) || exit
    kill -9 -$pid
    for i in 1 2 3 4 5 6 7 8 9 10; do
      case $(ps -o stat= -p $pid) in '' | Z*) exit ;; esac
      sleep 0.1
    done]]):format(self.directory))
end

--- Sends the lines of a text to a topic.
function Broker:produce(topic, text, options)
  local path = self.directory .. "/produced"
  shell.write(path, text)
  local said, status = shell.run(("timeout 20 kcat -b %s -P -t %s %s <%s"):format(self.brokers, topic, options or "", path))
  assert(status == 0, said)
end

--- The messages of a topic, as text.
function Broker:consume(topic, options)
  return (shell.run(("timeout 20 kcat -q -b %s -C -e -t %s %s"):format(self.brokers, topic, options or "")))
end

return kafka
