-- An emulator and clients for it.
local catalog = require "catalog"
local emulator = require "catalog.emulator"

local service = {}

service.DATASET = "5c8c3c555033b814b69f947f"

--- A client's settings for a server: one try, since most specs are about what one try comes to.
function service.settings(url, changes)
  local settings = {
    base_url = url, ims_url = url, org = "ORG@AdobeOrg", api_key = "key", token = "token", timeout = 20, retry = false,
  }
  for name, value in pairs(changes or {}) do settings[name] = value end
  return settings
end

--- A client for a server.
function service.client(url, changes)
  return assert(catalog.client(service.settings(url, changes)))
end

--- Starts an emulator and calls `body(server, client)`.
function service.run(options, body)
  local server <close> = assert(emulator.start(options))
  return body(server, service.client(server.url))
end

return service
