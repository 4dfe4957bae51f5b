--- What paths lead to: `POST /` or `POST /NAME` puts records into a sink; `/health`, `/ready` and `/metrics` say how
-- things are.
-- @module catalog.serve.routes
local answers = require "catalog.serve.answers"
local core = require "catalog.core"
local intake = require "catalog.serve.intake"
local metrics = require "catalog.serve.metrics"
local sorted = require "catalog.base.sorted"

local Routes = {}
Routes.__index = Routes

-- Why nothing is taken in these states; in others something is.
local CLOSED <const> = { starting = "the server starts; send this again", ending = "the server stops; send this again" }

-- What has to do with nobody's secrets.
local OPEN <const> = { ["/health"] = true, ["/ready"] = true }

local VIEWS <const> = {}

--- What leads to sinks, and to what is known of them.
-- @tparam {table,...} streams each `dataset` and, where there are several, `name`; and `sink` once it is open, which
--   may be a drain (`kind` is `drain` then) where no records are taken
-- @tparam table given `token` (of `catalog.serve.token`, or nil); `explain(text)` (default: what sinks say is told as
--   it is); `codings` (a list) and `body_bytes` (the largest body), or `reads_only` (true: no records are taken)
-- @treturn table `state`: `starting`, `running` or `ending`; `answered`, what a server has answered
function Routes.new(streams, given)
  local self = setmetatable({
    streams = streams, posts = {}, state = "starting", token = given.token, body_bytes = given.body_bytes,
    codings = {}, coding_names = table.concat(given.codings or {}, ", "), answered = nil,
    explain = given.explain or function(text) return text end,
  }, Routes)
  for _, coding in ipairs(given.codings or {}) do self.codings[coding] = coding end
  if given.reads_only then return self end
  for _, stream in ipairs(streams) do self.posts["/" .. (stream.name or "")] = stream end
  return self
end

-- --- before the body ---

local function paths(map) return table.concat(sorted(map), ", ") end

-- What there is, for who asks for something else.
local function hint(self)
  if next(self.posts) then return "records go to " .. paths(self.posts) .. " by POST" end
  return "there are " .. paths(VIEWS)
end

local function unknown(self, request)
  local view, post = VIEWS[request.path], self.posts[request.path]
  if not view and not post then
    return answers.problem(404, ("there is no %s; %s"):format(request.path, hint(self)))
  end
  local is_view = request.method == "GET" or request.method == "HEAD"
  if view and not is_view or post and request.method ~= "POST" then
    local allow = view and "GET, HEAD" or "POST"
    return answers.problem(405, ("%s is for %s"):format(request.path, allow), { allow = allow })
  end
end

local function unauthorized(self, request)
  if not self.token or OPEN[request.path] or self.token:is_in(request.headers) then return nil end
  return answers.problem(401, "this needs the header Authorization: Bearer, with the token of --listen-token-file",
    { ["www-authenticate"] = "Bearer" })
end

local function unsupported(request)
  local content_type = (request.headers["content-type"] or ""):lower()
  if content_type:find("msgpack", 1, true) then
    return answers.problem(415, "msgpack is not taken; send JSON lines, or a JSON array")
  end
end

-- The coding of the body, or nil and a refusal.
local function coding_of(self, request)
  local coding = (request.headers["content-encoding"] or "identity"):lower():gsub("^x%-gzip$", "gzip")
  if coding == "identity" or coding == "" then return nil end
  if self.codings[coding] then return coding end
  return nil, answers.problem(415, ("the coding %s is not taken; %s"):format(coding, self.coding_names == ""
    and "send the body as it is" or "send the body as it is, or by " .. self.coding_names),
    { ["accept-encoding"] = self.coding_names == "" and "identity" or self.coding_names })
end

local function too_large(self, request, coding)
  local length = tonumber(request.headers["content-length"])
  if not coding and length and length > self.body_bytes then return intake.too_large(self.body_bytes) end
end

local function closed(self)
  local why = CLOSED[self.state]
  return why and answers.problem(503, why, { ["retry-after"] = "1" })
end

--- Looks at the headers of a request.
-- @tparam table request
-- @treturn[1] table answer: the request is refused
-- @treturn[2] nil
-- @treturn[2] ?string the coding of its body
function Routes:admit(request)
  local refused = unknown(self, request) or unauthorized(self, request)
  if refused or request.method ~= "POST" then return refused end
  local coding, no_coding = coding_of(self, request)
  refused = closed(self) or unsupported(request) or no_coding or too_large(self, request, coding)
  if refused then return refused end
  return nil, coding
end

-- --- the answer ---

VIEWS["/health"] = function() return answers.text(200, "alive\n") end

VIEWS["/ready"] = function(self)
  local why = CLOSED[self.state]
  for _, stream in ipairs(self.streams) do why = why or intake.obstacle(stream.sink) end
  if why then return answers.text(503, core.failure.line(self.explain(why)) .. "\n") end
  return answers.text(200, "ready\n")
end

VIEWS["/metrics"] = function(self)
  local list = {}
  for _, stream in ipairs(self.streams) do
    local numbers = stream.sink and stream.sink:metrics()
    list[#list + 1] = numbers and setmetatable({ numbers = numbers }, { __index = stream })
  end
  return answers.text(200, metrics.text(list, self.answered), metrics.TYPE)
end

--- Answers a request.
-- @tparam table request one that was admitted, as a whole
-- @treturn table answer
function Routes:answer(request)
  local view = VIEWS[request.path]
  if view then return view(self) end
  local refused = closed(self)
  return refused or intake.take(self.posts[request.path].sink, request, self)
end

return Routes
