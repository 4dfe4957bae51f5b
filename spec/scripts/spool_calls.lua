-- For the C host: all calls of a spool in a directory; with `own` in one of this state's own.
return function(path, own)
  local core = require "catalog.core"
  pin(package.searchpath("cjson", package.cpath))
  local is_closed = true
  if own then path = path .. "/" .. tostring(core):match "0x(%x+)" end

  -- Waits until jobs have ended.
  local function finish(spool, tickets)
    local left = 0
    for _ in pairs(tickets) do left = left + 1 end
    while left > 0 do
      local name, ticket, err, value = spool:take()
      if name == "job" and tickets[ticket] then
        tickets[ticket], left = nil, left - 1
        if err then error(err, 0) end
        if type(value) == "userdata" then value:close() end
      end
    end
  end

  local function use(spool, state)
    local source = assert(spool:source("s", state:find '"source/s"' and 3 or nil))
    assert(spool:write('{"n":1}', source, 4))
    assert(spool:write_line('{"n":2}', source, 5))
    local behind, count, fault = spool:write_lines('{"n":3}\nbad\n', 1)
    assert(behind == 9 and count == 1 and fault, fault)
    assert(spool:reject '{"reason":"bad"}')
    assert(spool:commit(source, 6))
    spool:write_lines('{"n":4}\n', 1)
    spool:rollback()
    assert(spool:seal())
    local tickets = {}
    for _, job in ipairs {
      { "sync" }, { "note", '{"a":1}' }, { "mkdir", "failed/1" }, { "save", "failed/1/a", "{}" },
      { "append", "failed/1/a", "{}" }, { "sum", "failed/1/a" }, { "open", "failed/1/a" },
      { "rename", "failed/1/a", "failed/1/b" }, { "remove", "failed/1/b" },
    } do
      tickets[assert(spool[job[1]](spool, table.unpack(job, 2)))] = true
    end
    finish(spool, tickets)
    local status = spool:status()
    assert(status.durable_records == 3 and not status.disk_error)
    assert(spool:position(source) == 6)
  end

  return function()
    do
      local spool <close>, state = assert(core.spool.open { path = path, sync_seconds = 0 })
      is_closed = false
      use(spool, state)
      assert(core.spool.look(path))
      assert(spool:close())
      is_closed = true
    end
    collectgarbage()
    return is_closed
  end
end
