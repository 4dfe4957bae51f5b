--- Which Kafka a command is about, by its options, a file of properties, and the environment.
-- @module catalog.cli.kafka
local failure = require "catalog.base.failure"

local kafka = {}

-- Secrets of the environment, where the file has none.
local VARIABLES <const> = {
  ["sasl.username"] = "KAFKA_SASL_USERNAME", ["sasl.password"] = "KAFKA_SASL_PASSWORD",
  ["ssl.key.password"] = "KAFKA_SSL_KEY_PASSWORD",
}

-- What is a secret by its name: everybody on a machine sees a command's words.
local SECRET <const> = { "password", "secret", "%.pem$", "^sasl%.jaas", "^sasl%.oauthbearer%.config$" }

local function is_secret(name)
  for _, pattern in ipairs(SECRET) do
    if name:lower():find(pattern) then return true end
  end
  return false
end

--- What is wrong with the options, or nil: what is wrong here is a mistake of who wrote the command.
-- @tparam table arguments
-- @treturn ?string
function kafka.fault(arguments)
  local seen = {}
  if #(arguments.topic or {}) == 0 then return "give --topic, once or several times" end
  for _, topic in ipairs(arguments.topic) do
    if seen[topic] then return ("--topic %s is given twice"):format(topic) end
    seen[topic] = true
  end
  for _, pair in ipairs(arguments.kafka_set or {}) do
    local name = pair:match "^([^=]+)="
    if not name then return ("--kafka-set '%s' is no NAME=VALUE"):format(pair) end
    if is_secret(name) then
      local variable = VARIABLES[name] and ", or " .. VARIABLES[name] or ""
      return ("--kafka-set %s: a secret does not stand in a command, where others see it; put it into --kafka-file%s")
        :format(name, variable)
    end
  end
end

-- The properties of a file: NAME=VALUE lines, and comments.
local function read_file(path, config)
  local file, why = io.open(path, "r")
  if not file then return failure("config", "cannot read the properties of --kafka-file: %s", why) end
  local number = 0
  for line in file:lines() do
    number = number + 1
    local name, value = line:match "^%s*([%w%._%-]+)%s*=%s*(.-)%s*$"
    if name then
      config[name] = value
    elseif not line:find "^%s*$" and not line:find "^%s*[#!]" then
      file:close()
      return failure("config", "%s, line %d, is no NAME=VALUE", path, number)
    end
  end
  file:close()
  return true
end

--- The table of `kafka` of a drain.
-- @tparam table arguments `brokers`, `topic`, `group`, `kafka_file`, `kafka_set`
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function kafka.given(arguments)
  local config = {}
  for name, variable in pairs(VARIABLES) do config[name] = os.getenv(variable) end
  if arguments.kafka_file then
    local ok, err = read_file(arguments.kafka_file, config)
    if not ok then return nil, err end
  end
  for _, pair in ipairs(arguments.kafka_set or {}) do
    local name, value = pair:match "^([^=]+)=(.*)$"
    config[name] = value
  end
  return { brokers = arguments.brokers, topics = arguments.topic, group = arguments.group, config = config }
end

return kafka
