-- Creates batches one after another, for others to count what that takes: creator.lua URL COUNT
local catalog = require "catalog"

local client = assert(catalog.client {
  base_url = arg[1], org = "ORG@AdobeOrg", api_key = "key", token = "t", sandbox = "prod",
})
for _ = 1, tonumber(arg[2]) do assert(client:create_batch { dataset = "5c8c3c555033b814b69f947f" }) end
