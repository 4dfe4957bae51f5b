-- What `make demo` runs: a batch created against the local emulator, looked up again, and what a wrong token gives.
local catalog = require "catalog"
local emulator = require "catalog.emulator"

local function show(title, fields)
  print(title)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = fields[name]
    if type(value) == "table" then value = require("catalog.core").json.encode(value) end
    print(("  %-14s %s"):format(name, value))
  end
end

local server = assert(emulator.start { tokens = { "demo-token" } })
print("the emulator listens on " .. server.url)

local settings = { base_url = server.url, org = "DEMO@AdobeOrg", api_key = "demo-key", token = "demo-token" }
local client = assert(catalog.client(settings))

local batch = assert(client:create_batch { dataset = "5c8c3c555033b814b69f947f" })
show("created: " .. tostring(batch), batch)

local found = assert(client:batch(batch.id):get())
print("looked up: " .. tostring(found))

settings.token = "a-wrong-token"
local refused, err = assert(catalog.client(settings)):create_batch { dataset = "5c8c3c555033b814b69f947f" }
print("with a wrong token: " .. tostring(refused) .. ", " .. tostring(err))

server:stop()
