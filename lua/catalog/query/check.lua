--- Records against the schema of a data set, before they are sent: what the service would refuse after minutes.
-- @module catalog.query.check
local Client = require "catalog.client.client"
local core = require "catalog.core"
local dataset = require "catalog.query.dataset"
local failure = require "catalog.base.failure"
local options = require "catalog.base.options"
local plain = require "catalog.query.schema_plain"
local schema = require "catalog.query.schema"

-- Where schemas are, by their ids, which are URLs. Source: Adobe's guide to the schema registry.
local REGISTRY <const> = "/data/foundation/schemaregistry/tenant/schemas/"
local ACCEPT <const> = "application/vnd.adobe.xed-full+json; version=%s"

-- How long a schema is kept, in seconds.
local KEPT <const> = 600

local clock <const> = core.system.monotonic

local function read(body)
  local fields, err = core.json.decode(body)
  if err then return nil, err end
  if type(fields) ~= "table" or #fields > 0 then return failure("protocol", "the reply is no schema") end
  return fields
end

-- The reference to the schema of a data set: looked up, unless it is known.
local function reference_of(self)
  local fields, err = self, nil
  if type(self.schemaRef) ~= "table" then fields, err = self:get { properties = { "schemaRef" } } end
  if not fields then return nil, err end
  local reference = type(fields.schemaRef) == "table" and fields.schemaRef or {}
  if type(reference.id) ~= "string" then
    return failure("data", "the data set %s names no schema, and nothing can be checked by it", self.id)
  end
  local version = type(reference.contentType) == "string" and reference.contentType:match "version=(%d+)"
  return reference.id, version or "1"
end

--- The schema of the data set in full, as the service has it.
-- @function catalog.dataset:get_schema
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] table error: of kind `data` when the data set names none
function dataset.methods:get_schema()
  local id, version = reference_of(self)
  if not id then return nil, version end
  local segment, unfit = core.url.segment(id, "schema id")
  if not segment then return nil, unfit end
  local kind = getmetatable(self)
  return kind.client:send {
    method = "GET", repeatable = true, path = REGISTRY .. segment, sandbox = kind.sandbox,
    accept = ACCEPT:format(version), read = read,
  }
end

--- Holds records against the schema of a data set, before they are sent. `catalog.client:checker` makes one.
-- @table catalog.checker
local Checker = { __name = "catalog.checker" }
Checker.__index = Checker

--- Says what of a record does not fit.
-- @function catalog.checker:check
-- @tparam table record
-- @tparam ?integer most how many problems are told; default: all
-- @treturn {table,...} problems, none when it fits: `path` (such as `person.list[2].name`, where the first of a list is
--   1), `problem` (`unknown`, `required`, `type`, `enum`, `format`, `pattern`, `range`, `length`, `choice`), `message`
-- @treturn integer how many there are
function Checker:check(record, most)
  return self.find(record, most)
end

-- How many of the problems of a record its error tells.
local TOLD <const> = 3

--- Says why a record is not to be sent.
-- @local
-- @function catalog.checker:refusal
-- @tparam table record
-- @tparam ?string line the same as JSON, where it is known: most lines are not looked at for long
-- @treturn ?table error of kind `data`, with `problems`; nil: it fits
function Checker:refusal(record, line)
  if type(record) ~= "table" or line and self.fits:check(line) then return nil end -- what is none is refused for that
  local found, count = self.find(record, TOLD)
  if count == 0 then return nil end
  local texts = {}
  for i, one in ipairs(found) do texts[i] = ("%s: %s"):format(one.path, one.message) end
  local _, err = failure("data", "the record does not fit the schema: %s%s", table.concat(texts, "; "),
    count > #found and ("; and %d more"):format(count - #found) or "")
  err.problems = found
  return err
end

--- Says why a line is not to be sent.
-- @function catalog.checker:line_refusal
-- @local
-- @tparam string line one record, as JSON
-- @treturn ?table error, as of `refusal`; nil: it fits, or is no record
function Checker:line_refusal(line)
  if self.fits:check(line) then return nil end
  local row = core.json.decode(line)
  return type(row) == "table" and line:find "^%s*{" and self:refusal(row) or nil
end

--- Says what of a line does not fit. Most surely fit, and are not decoded.
-- @function catalog.checker:check_line
-- @tparam string line one record, as JSON
-- @tparam ?integer most how many problems are told; default: all
-- @treturn {table,...} problems, as of `check`; the problem `json` where the line is none
-- @treturn integer how many there are
function Checker:check_line(line, most)
  if self.fits:check(line) then return {}, 0 end
  local row, broken = core.json.decode(line)
  if type(row) == "table" and line:find "^%s*{" then return self.find(row, most) end
  local message = broken and broken.message or "the line is no JSON object"
  return { most ~= 0 and { path = "", problem = "json", message = message } or nil }, 1
end

local function new_checker(given)
  local find, err = schema(given)
  if not find then return nil, err end
  return setmetatable({ find = find, fits = plain(given) }, Checker)
end

-- What checks records by the schema of a data set.
local function known_checker(client, given, sandbox)
  local id, err = client:dataset_id(given, sandbox)
  if not id then return nil, err end
  client.checks = client.checks or {}
  local key = (sandbox or client.sandbox) .. "\0" .. id
  local known = client.checks[key]
  if known and clock() < known.ends then return known.checker end
  local full, failed = client:dataset(id, { sandbox = sandbox }):get_schema()
  if not full then return nil, failed end
  local checker, unfit = new_checker(full)
  if not checker then return nil, unfit end
  client.checks[key] = { checker = checker, ends = clock() + KEPT }
  return checker
end

local CHECKER <const> = { dataset = "string|table", schema = "table", sandbox = "string" }

--- Makes what checks records. The schema is asked for once, and kept for ten minutes.
-- @function catalog.client:checker
-- @tparam table given either `dataset` or `schema`
-- @tparam[opt] string|table given.dataset an id, a data set, or `{ name = ... }`: its schema counts
-- @tparam[opt] table given.schema a JSON schema, decoded
-- @tparam[opt=the client's] string given.sandbox where the data set is
-- @treturn[1] catalog.checker
-- @treturn[2] nil
-- @treturn[2] table error: of kind `data` when the data set names no schema
-- @raise an option is unknown or has a wrong type; there is neither `dataset` nor `schema`, or both
function Client:checker(given)
  local checked = options.check(given, CHECKER, "checker", 2)
  if (checked.dataset == nil) == (checked.schema == nil) then
    error("bad options for checker (either dataset or schema is needed)", 2)
  end
  if checked.schema then return new_checker(checked.schema) end
  return known_checker(self, checked.dataset, checked.sandbox or type(checked.dataset) == "table"
    and dataset.sandbox(checked.dataset) or nil)
end
