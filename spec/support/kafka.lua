-- A Kafka for specs: Apache's, where `make kafka` has fetched it, and else one that librdkafka plays.
local ports = require "support.ports"
local shell = require "support.shell"
local way = require "support.way"

local kafka = {}

local Broker = {}
Broker.__index = Broker

local JARS <const>, BUILD <const> = "build/kafka", os.getenv "CATALOG_BUILD" or "build"

-- Its settings. Who comes by the listener SASL is a user, who may do what is allowed; all others may do everything.
local CONFIG <const> = [[
process.roles=broker,controller
node.id=NODE
controller.quorum.voters=VOTERS
listeners=PLAINTEXT://127.0.0.1:PORT,CONTROLLER://127.0.0.1:CONTROLLER_PORT,WAY://127.0.0.1:WAY_PORT,SASL://127.0.0.1:SASL_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:PORT,WAY://127.0.0.1:WAY_TO_PORT,SASL://127.0.0.1:SASL_PORT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,WAY:PLAINTEXT,SASL:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_drain="word";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs=DIRECTORY/logs
offsets.topic.replication.factor=REPLICAS
default.replication.factor=REPLICAS
min.insync.replicas=LEAST_REPLICAS
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=REPLICAS
transaction.state.log.min.isr=LEAST_REPLICAS
transaction.state.log.num.partitions=1
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=true
num.partitions=PARTITIONS
log.initial.task.delay.ms=500
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

local function new_broker()
  return setmetatable({ directory = shell.run("mktemp -d"):gsub("%s+$", ""), is_apache = true }, Broker)
end

-- Makes a broker ready to be started. `common`: settings of all brokers of its cluster.
local function prepare(self, common)
  self.ports.DIRECTORY, self.ports.WAY_TO_PORT = self.directory, ports.free()
  for name in ("PORT WAY_PORT SASL_PORT"):gmatch "%S+" do self.ports[name] = ports.free() end
  self.brokers, self.secured = "127.0.0.1:" .. self.ports.PORT, "127.0.0.1:" .. self.ports.SASL_PORT
  shell.write(self.directory .. "/server.properties",
    (CONFIG:gsub("[A-Z_]+", function(name) return self.ports[name] or common[name] end)))
  local said, status = shell.run(java(("kafka.tools.StorageTool format -t catalogcatalogcatalog0 -c %s"):format(
    self.directory .. "/server.properties")))
  assert(status == 0, said)
end

local function launch(self) begin(self, java(("kafka.Kafka %s/server.properties"):format(self.directory))) end

-- Starts brokers that are one cluster, and replicate everything.
local function start_apache(list, partitions)
  local voters = {}
  for i, one in ipairs(list) do
    one.ports = { NODE = i, CONTROLLER_PORT = ports.free() }
    voters[i] = ("%d@127.0.0.1:%d"):format(i, one.ports.CONTROLLER_PORT)
  end
  local common = {
    VOTERS = table.concat(voters, ","), PARTITIONS = partitions, REPLICAS = #list, LEAST_REPLICAS = (#list + 1) // 2,
  }
  for _, one in ipairs(list) do prepare(one, common) end
  for _, one in ipairs(list) do launch(one) end
  for _, one in ipairs(list) do wait_until_up(one) end
end

--- Whether Apache Kafka is there.
function kafka.has_apache()
  local _, _, status = os.execute(("test -f %s/fetched && command -v java >/dev/null"):format(JARS))
  return status == 0
end

local function start_mock(self, partitions)
  shell.write(self.directory .. "/out", "")
  begin(self, ("sh -c \"sleep 900 | %s/mock_kafka %d\""):format(BUILD, partitions))
  for _ = 1, 1200 do -- it may sleep for a second at each of its topics: librdkafka misses that it was woken
    self.brokers = shell.read(self.directory .. "/out"):match "^%S+:%d+"
    if self.brokers then return end
    os.execute "sleep 0.05"
  end
  error "the cluster that librdkafka plays does not come up"
end

--- Starts a broker: `brokers`, `is_apache`; of Apache's, `secured`: where the user `drain` with the password `word` is
-- asked for. Topics are made when something is sent to them.
-- @tparam integer partitions of each topic
-- @tparam ?boolean is_played true: the one that librdkafka plays, also where there is Apache's: it is there at once
function kafka.start(partitions, is_played)
  local self = new_broker()
  self.is_apache = not is_played and kafka.has_apache()
  local fine, raised
  if self.is_apache then
    fine, raised = pcall(start_apache, { self }, partitions)
  else
    fine, raised = pcall(start_mock, self, partitions)
  end
  if fine then return self end
  self:stop()
  error(raised, 0)
end

--- Ends it, and leaves nothing of it.
function Broker:stop()
  self:kill()
  shell.run("rm -rf " .. shell.quote(self.directory))
end

Broker.__close = Broker.stop

--- Starts it once more, after it was killed.
function Broker:start()
  launch(self)
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

--- Lets it stand still, or go on.
function Broker:stand_still() shell.run(("kill -STOP -$(cat %s/pid)"):format(self.directory)) end
function Broker:go_on() shell.run(("kill -CONT -$(cat %s/pid)"):format(self.directory)) end

--- Kills it, and starts it with a setting more.
function Broker:restart(setting)
  self:kill()
  local path = self.directory .. "/server.properties"
  shell.write(path, shell.read(path) .. setting .. "\n")
  self:start()
end

--- Begins a way to it that can be interrupted. It is closed before the broker ends.
-- @treturn table of `support.way`; what is behind it is `brokers`
function Broker:way()
  local made = way.start(self.ports.WAY_PORT, self.ports.WAY_TO_PORT)
  made.brokers = "127.0.0.1:" .. made.port
  return made
end

--- Tells it something, as spec/scripts/kafka_admin.c has it.
-- @tparam string words
-- @tparam ?string input
function Broker:tell(words, input)
  local path = self.directory .. "/told"
  shell.write(path, input or "")
  local said, status = shell.run(("timeout 60 %s/kafka_admin %s %s <%s"):format(BUILD, self.brokers, words, path))
  assert(status == 0, said)
end

--- Sends the lines of a text to a topic.
function Broker:produce(topic, text, options)
  local path = self.directory .. "/produced"
  shell.write(path, text)
  local said, status = shell.run(("timeout 60 kcat -b %s -P -t %s %s <%s"):format(self.brokers, topic, options or "", path))
  assert(status == 0, said)
end

--- The messages of a topic, as text.
function Broker:consume(topic, options)
  return (shell.run(("timeout 20 kcat -q -b %s -C -e -t %s %s"):format(self.brokers, topic, options or "")))
end

-- --- several brokers ---

local Cluster = setmetatable({}, { __index = Broker })
Cluster.__index = Cluster

--- Starts brokers of Apache Kafka that replicate everything. What is killed and started is one of them, in turn.
-- @tparam integer count
-- @tparam integer partitions of each topic
function kafka.cluster(count, partitions)
  local self = setmetatable({ nodes = {}, is_apache = true, turn = 0 }, Cluster)
  for i = 1, count do self.nodes[i] = new_broker() end
  local fine, raised = pcall(start_apache, self.nodes, partitions)
  if not fine then
    self:stop()
    error(raised, 0)
  end
  self.directory = self.nodes[1].directory
  local all = {}
  for i, node in ipairs(self.nodes) do all[i] = node.brokers end
  self.brokers = table.concat(all, ",")
  return self
end

function Cluster:stop()
  for _, node in ipairs(self.nodes) do node:stop() end
end

function Cluster:kill()
  self.turn = self.turn % #self.nodes + 1
  self.nodes[self.turn]:kill()
end

function Cluster:start() self.nodes[self.turn]:start() end

return kafka
