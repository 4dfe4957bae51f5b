--- How a call says that it did not succeed.
-- @module catalog.base.failure
local core = require "catalog.core"

--- What a call returns after nil when it does not succeed: a table, and readable with `tostring`. No token or secret is
-- in any of its fields.
-- @table catalog.error
-- @tfield string kind `config`, `data`, `network`, `timeout`, `tls`, `http`, `auth`, `limit`, `protocol`, `batch` (it
--   ended, and not in success), `conflict` (somebody else was first, or has it) or `cancelled`
-- @tfield string message what happened, to what, and what to do
-- @tfield ?boolean ambiguous true: it was sent, and nobody knows whether it happened; look before you try again
-- @tfield ?boolean retryable true: the same call may succeed later
-- @tfield ?integer status of the service's answer, such as 404
-- @tfield ?string code the service's, such as `401013`; of kind `limit`: `full` or `too_large`
-- @tfield ?string detail what the service said
-- @tfield ?string request_id by which the service knows the request
-- @tfield ?string retry_after what the service said of when to try again: seconds or a date
-- @tfield ?string method of the request
-- @tfield ?string url of the request
-- @tfield ?integer attempts how often it was tried
-- @tfield ?catalog.error first what went wrong first, where it was tried more than once
-- @tfield ?string|catalog.batch batch of kind `batch`: as it is now; of kind `conflict`: its id

--- Gives what such a call returns.
-- @function failure
-- @tparam string kind `config`, `data`, ... as in the guide (troubleshooting.md)
-- @tparam string format of the message, as in `string.format`
-- @param ... what goes into it
-- @treturn nil
-- @treturn table error
return function(kind, format, ...)
  return nil, core.failure.new { kind = kind, message = format:format(...) }
end
