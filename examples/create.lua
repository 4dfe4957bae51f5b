-- Creates a batch, as configured in the environment: AEP_ORG, AEP_API_KEY, AEP_ACCESS_TOKEN.
-- Usage: lua5.4 create.lua DATASET
local catalog = require "catalog"

local dataset = arg[1]
if not dataset then
  io.stderr:write("usage: lua5.4 create.lua DATASET\n")
  os.exit(2)
end

-- once: where the answer is lost, it is found out whether there is a batch, and there are never two
local batch, err = catalog.create_batch { dataset = dataset, once = true }
if not batch then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
print(batch.id, batch.status, batch.created)
