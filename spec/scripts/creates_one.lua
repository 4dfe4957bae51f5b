-- For the C host: creates a batch at the server whose URL it is given, and keeps the connection.
return function(url)
  local catalog = require "catalog"
  local client = assert(catalog.client { base_url = url, org = "ORG@AdobeOrg", api_key = "key", token = "token" })
  return function()
    local batch, err = client:create_batch { dataset = "5c8c3c555033b814b69f947f" }
    if not batch then return nil, err end
    return true
  end
end
