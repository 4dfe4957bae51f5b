--- The token that requests need, which a file holds. Who replaces the file needs no restart.
-- @module catalog.serve.token
local core = require "catalog.core"
local secret_file = require "catalog.client.secret_file"

local Token = {}
Token.__index = Token

-- How long a token that is wrong stays so before the file is read again, in seconds.
local AGAIN <const> = 1

--- Reads the token.
-- @tparam string path
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function Token.new(path)
  local self = setmetatable({ path = path, value = nil, read_at = 0 }, Token)
  local ok, err = self:read()
  return ok and self, err
end

--- Reads the token again. Where the file cannot be read, the token stays what it was.
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`
function Token:read()
  local value, err = secret_file.read("listen_token_file", self.path)
  self.read_at = core.system.monotonic()
  if not value then return nil, err end
  self.value = value
  return true
end

--- Whether a request has the token.
-- @tparam {[string]=string,...} headers
-- @treturn boolean
function Token:is_in(headers)
  local given = (headers.authorization or ""):match "^[Bb]earer +(.-) *$"
  if not given then return false end
  if core.system.same_secret(given, self.value) then return true end
  if core.system.monotonic() - self.read_at < AGAIN then return false end
  self:read()
  return core.system.same_secret(given, self.value)
end

return Token
