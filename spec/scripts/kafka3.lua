-- What spec/systems/kafka3.sh runs: a drain by two members from three brokers, each of which is killed and comes back.
local drain_kills = require "support.drain_kills"
local kafka = require "support.kafka"

local ROUNDS <const>, EACH <const> = 6, 2000

local cluster = kafka.cluster(3, 6)
local fine, result = pcall(drain_kills.run, cluster, {
  members = 2, records = ROUNDS * EACH, happenings = ROUNDS, topic = "replicated", of_brokers = true,
})
cluster:stop()
assert(fine, result)
print(("brokers were killed %d times; each of %d messages is in one batch, once"):format(result.counts.broker, result.sent))
