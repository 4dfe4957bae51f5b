-- Batches at an emulator, and what is in them.
local core = require "catalog.core"
local service = require "support.service"
local shell = require "support.shell"

local batches = {}

--- Creates a batch for lines of JSON.
function batches.create(client)
  return assert(client:create_batch { dataset = service.DATASET, format = "json" })
end

--- Adds the id of a new batch to a list: the place is the next one when the batch is there.
function batches.add_id(ids, client)
  local id = batches.create(client).id
  ids[#ids + 1] = id
end

--- A batch with one file, completed.
function batches.completed(client, content, options)
  local given = { dataset = service.DATASET, format = "json" }
  for name, value in pairs(options or {}) do given[name] = value end
  local batch = assert(client:create_batch(given))
  if content then assert(batch:upload("a", { data = content })) end
  return assert(batch:complete())
end

--- Rows for a file, of which the first are bad.
function batches.rows(count, bad)
  local lines = {}
  for i = 1, count do lines[i] = i <= bad and ("not json %d"):format(i) or ('{"n":%d}'):format(i) end
  return table.concat(lines, "\n") .. "\n"
end

--- Bytes in which every range is another.
function batches.bytes(count)
  local parts = {}
  for i = 1, count // 8 + 1 do parts[i] = ("%07d\n"):format(i) end
  return table.concat(parts):sub(1, count)
end

--- The statuses of all batches.
function batches.statuses(client)
  local answer = assert(client:send {
    method = "GET", path = "/data/foundation/catalog/batches?limit=100", read = core.json.decode,
  })
  local list = {}
  for _, fields in pairs(answer) do list[#list + 1] = fields.status end
  return list
end

--- Starts an emulator and calls `body(client, server)`.
function batches.with_client(options, body)
  service.run(options, function(server, client) body(client, server) end)
end

--- Makes files with so many rows each and an emulator, and calls `body(client, paths, directory, server)`.
function batches.with_files(sizes, body, options)
  shell.with_directory(function(directory)
    local paths = {}
    for i, size in ipairs(sizes) do
      paths[i] = ("%s/f%d.json"):format(directory, i)
      shell.write(paths[i], ('{"n":1}\n'):rep(size))
    end
    service.run(options or {}, function(server, client) body(client, paths, directory, server) end)
  end)
end

--- Creates a batch at an emulator that keeps its files in a directory, and calls `body(batch, stored, directory, client,
-- server)`; `stored(name)` reads one of them.
function batches.with_batch(body, options)
  shell.with_directory(function(directory)
    service.run({ data_dir = directory .. "/data" }, function(server, client)
      local given = { dataset = service.DATASET, format = "json" }
      for name, value in pairs(options or {}) do given[name] = value end
      local batch = assert(client:create_batch(given))
      body(batch, function(name) return shell.read(("%s/data/files/%s/%s"):format(directory, batch.id, name)) end, directory,
        client, server)
    end)
  end)
end

return batches
