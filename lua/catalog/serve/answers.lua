--- What a server answers with: a status, headers and a body.
-- @module catalog.serve.answers
local core = require "catalog.core"

local answers = {}

--- An answer of text.
-- @tparam integer status
-- @tparam string body
-- @tparam ?string content_type
-- @treturn table `status`, `headers`, `body`
function answers.text(status, body, content_type)
  return { status = status, headers = { ["content-type"] = content_type or "text/plain; charset=utf-8" }, body = body }
end

--- An answer of JSON.
-- @tparam integer status
-- @tparam table fields
-- @tparam ?{[string]=string,...} headers more of them
-- @treturn table `status`, `headers`, `body`
function answers.json(status, fields, headers)
  local answer = answers.text(status, assert(core.json.encode(fields)) .. "\n", "application/json")
  for name, value in pairs(headers or {}) do answer.headers[name] = value end
  return answer
end

--- An answer that says what went wrong, and what to do.
-- @tparam integer status
-- @tparam string text may have anything in it
-- @tparam ?{[string]=string,...} headers
-- @treturn table `status`, `headers`, `body`
function answers.problem(status, text, headers)
  return answers.json(status, { error = core.failure.line(text) }, headers)
end

return answers
