--- The configuration of a client: what is in its table, in the environment, and by default.
-- @module catalog.client.config
local core = require "catalog.core"
local failure = require "catalog.base.failure"
local options = require "catalog.base.options"
local version = require "catalog.base.version"

local config = {}

local SCHEMA <const> = {
  base_url = "string", org = "string", sandbox = "string", api_key = "string", token = "string|callable",
  token_file = "string", client_secret = "string", client_secret_file = "string", scopes = "string|table",
  ims_url = "string", timeout = "number", connect_timeout = "number", retry = "table|boolean",
  rate = "number|boolean", parallel = "integer", loop = "table", on_request = "callable", ca_file = "string",
  proxy = "string|boolean", user_agent = "string", insecure = "boolean", max_reply = "integer", on_retry = "callable",
}

local ENVIRONMENT <const> = {
  base_url = "AEP_BASE_URL", org = "AEP_ORG", sandbox = "AEP_SANDBOX", api_key = "AEP_API_KEY",
  token = "AEP_ACCESS_TOKEN", token_file = "AEP_ACCESS_TOKEN_FILE", client_secret = "AEP_CLIENT_SECRET",
  client_secret_file = "AEP_CLIENT_SECRET_FILE", scopes = "AEP_SCOPES", ims_url = "AEP_IMS_URL",
  system_ca_file = "SSL_CERT_FILE", system_ca_directory = "SSL_CERT_DIR", -- as OpenSSL's programs, and curl, have them
}

-- Where a token comes from: of several the first that is given.
local CREDENTIALS <const> = { "token", "token_file", "client_secret", "client_secret_file" }

local DEFAULTS <const> = {
  base_url = "https://platform.adobe.io", sandbox = "prod", ims_url = "https://ims-na1.adobelogin.com",
  timeout = 60, connect_timeout = 10, parallel = 4, user_agent = "catalog-lua/" .. version,
  insecure = false, max_reply = 64 * 1024 * 1024,
}

-- All authorities that Debian knows are a quarter of a megabyte.
local LARGEST_CA_FILE <const> = 64 * 1024 * 1024

-- Leaves one way to get a token. What is in the table is not overruled by what is in the environment.
local function choose_credentials(settings, given)
  local from, chosen = settings, nil
  for _, name in ipairs(CREDENTIALS) do
    if given[name] ~= nil then from = given end
  end
  for _, name in ipairs(CREDENTIALS) do
    if chosen or from[name] == nil then settings[name] = nil else chosen = name end
  end
end

-- The table wins over the environment, the environment over the defaults.
local function merge(given)
  local settings = {}
  for name, value in pairs(DEFAULTS) do settings[name] = value end
  for name, variable in pairs(ENVIRONMENT) do
    local value = os.getenv(variable)
    if value and value ~= "" then settings[name] = value end
  end
  for name, value in pairs(given) do settings[name] = value end
  choose_credentials(settings, given)
  if given.ca_file then settings.system_ca_file, settings.system_ca_directory = nil, nil end
  return settings
end

local function check_required(settings)
  for _, name in ipairs { "org", "api_key" } do
    if not settings[name] or settings[name] == "" then
      return failure("config", "%s is missing: set it in the client's table, or %s in the environment", name,
        ENVIRONMENT[name])
    end
  end
  return true
end

local function check_header_values(settings)
  for _, name in ipairs { "org", "api_key", "sandbox", "user_agent" } do
    local line, err = core.url.header("x", settings[name], name)
    if not line then return nil, err end
  end
  if type(settings.token) == "string" then return core.url.header("x", settings.token, "token") end
  return true
end

local function check_rate(settings)
  local possible = not settings.rate or settings.rate == true or settings.rate > 0
  if settings.rate == true or not possible then
    return failure("config", "rate is a number of batches a minute, more than 0, or false")
  end
  return true
end

local function check_times(settings)
  for _, name in ipairs { "timeout", "connect_timeout", "max_reply", "parallel" } do
    local positive = settings[name] > 0 -- NaN is not
    if not positive then return failure("config", "%s must be more than 0", name) end
  end
  return true
end

local function check_urls(settings)
  for _, name in ipairs { "base_url", "ims_url" } do
    local url, err = core.url.base(settings[name], name, settings.insecure)
    if not url then return nil, err end
    settings[name] = url
  end
  local fetches = settings.client_secret or settings.client_secret_file
  settings.services = { settings.base_url, fetches and settings.ims_url or nil }
  return true
end

local function uses_tls(settings)
  for _, url in ipairs(settings.services) do
    if url:find "^https:" then return true end
  end
  return false
end

-- Found now, since libcurl reads the file at the first connection only.
local function check_certificates(path, name)
  local text, err = core.file.read(path, LARGEST_CA_FILE)
  if not text then
    err.message = ("%s cannot be read: %s"):format(name, err.message)
    return nil, err
  end
  if not text:find "%-%-%-%-%-BEGIN [%u%d ]*CERTIFICATE%-%-%-%-%-" then
    return failure("config", "%s has no certificate in it: %s; it is a file of certificates in PEM form", name, path)
  end
  return true
end

-- OpenSSL takes several, and passes over those that are not there; where none is, nobody would be told.
local function check_directories(paths, name)
  for path in paths:gmatch "[^:]+" do
    if core.fs.kind(path) == "directory" then return true end
  end
  return failure("config", "%s is no directory: %s; it is one of certificates, as openssl rehash makes it", name, paths)
end

-- What the environment says to all programs does not matter to one that has no use for it.
local function check_authorities(settings)
  local file, directory = settings.system_ca_file, settings.system_ca_directory
  if settings.ca_file then return check_certificates(settings.ca_file, "ca_file") end
  if not uses_tls(settings) then return true end
  if file then return check_certificates(file, ENVIRONMENT.system_ca_file) end
  if not directory then return true end
  return check_directories(directory, ENVIRONMENT.system_ca_directory)
end

local CHECKS <const> = { check_required, check_header_values, check_times, check_rate, check_urls, check_authorities }

--- Reads a configuration.
-- @tparam ?table given as in the guide (first-batch.md, Configuration): `org`, `api_key`, `token`, ...
-- @tparam integer level who is to blame for an unknown option, as in `error`
-- @treturn table the settings: every option that has a value
-- @raise an option is unknown or has a wrong type
function config.read(given, level)
  return merge(options.check(given, SCHEMA, "client", level + 1))
end

--- Checks the values of settings; their types are checked already. URLs lose what they do not need.
-- @tparam table settings
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function config.check(settings)
  for _, check in ipairs(CHECKS) do
    local ok, err = check(settings)
    if not ok then return nil, err end
  end
  return true
end

return config
