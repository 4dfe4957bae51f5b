-- For lighttpd's mod_magnet (lighttpd.conf beside this file): a POST of a form creates a batch, as configured in the
-- environment (README). Fields: dataset, and where wanted format and external_id.
--
--   curl -d dataset=5c8c3c555033b814b69f947f http://127.0.0.1:8081/batches      201 {"id":"...","status":"loading"}
--
-- lighttpd calls this in its one thread. Until create_batch returns, it serves nobody else: no file, no other request.
-- mod_magnet knows no loop and no coroutine that could wait meanwhile, so all that can be done is to keep it short: one
-- try, and limits of a few seconds. That is good enough for a creation now and then. What takes longer (upload, ingest,
-- wait) belongs in a host with an event loop (`catalog.loop`), or in a process of its own.
local catalog = require "catalog"
local core = require "catalog.core"

-- Seconds: for one request, and for all that a call does; a token that has to be fetched may take as long again.
-- retry = false would leave the deadline at its 900.
local SETTINGS <const> = { timeout = 2, connect_timeout = 1, retry = { tries = 1, deadline = 3 } }

-- What a caller is told by the kind of an error, and by the status of the service where the caller's own fields may be
-- the cause. Anything else is between here and the service: 502, also where the service refuses the credentials, since
-- they are this server's and not the caller's.
local STATUS <const> = { data = 400, conflict = 409, config = 500, timeout = 504 }
local PASSED_ON <const> = { [400] = 400, [409] = 409, [429] = 503 }

local r = lighty.r

local function answer(status, value)
  r.resp_header["Content-Type"] = "application/json"
  r.resp_body.set(core.json.encode(value) .. "\n")
  return status
end

-- The error says what happened and has no secret in it. Where the outcome is not known (`ambiguous`) the caller must
-- know that, too. A server in between may have said something that is not UTF-8, which JSON cannot hold.
local function refuse(err)
  local message = utf8.len(err.message) and err.message or err.message:gsub("[\x80-\xff]", "?")
  local status = STATUS[err.kind] or err.kind == "http" and PASSED_ON[err.status] or 502
  if err.retry_after then r.resp_header["Retry-After"] = err.retry_after end
  return answer(status, { error = { kind = err.kind, message = message, ambiguous = err.ambiguous } })
end

-- The chunk is run for each request, and its globals are cleared after it. `_G` is the state's own. lighttpd keeps a
-- state for each script (and worker), also when the script was changed: the client is made once, and keeps its
-- connection.
local function client()
  if _G.client then return _G.client end
  local made, err = catalog.client(SETTINGS)
  _G.client = made
  return made, err
end

-- After a 429 a client keeps to the pace it has seen, by pauses. Here they would stop the whole server: whoever called
-- is told to come again later instead, and the client goes, with its pace.
local function heard(err)
  if err.status ~= 429 then return end
  _G.client:close()
  _G.client = nil
end

-- once = true: when the answer to the creation is lost, the batch is looked for, and created again only under the same
-- external id, within the deadline; an error that is still `ambiguous` then says that nobody knows. It covers this
-- call alone: whoever sends the POST again should send an external_id of its own, which is looked for before.
local function create(form)
  local ours, unfit = client()
  if not ours then return refuse(unfit) end
  local batch, err = ours:create_batch {
    dataset = form.dataset or "", format = form.format, external_id = form.external_id, once = true,
  }
  if batch then return answer(201, { id = batch.id, status = batch.status }) end
  heard(err)
  return refuse(err)
end

-- Not GET: who reads a page twice, or looks ahead, must not create anything.
if r.req_attr["request.method"] ~= "POST" then
  r.resp_header["Allow"] = "POST"
  return answer(405, { error = { kind = "method", message = "a POST creates a batch" } })
end

-- Not here yet: lighttpd reads the body, and then calls again.
if not r.req_body.collect then return 0 end

-- lighttpd before 1.4.72 may give the head of the request before the body; what counts is at the end.
return create(lighty.c.urldec_query(r.req_body.get:sub(-r.req_body.len)))
