--- A secret that is what a file holds, so that who replaces it needs no restart.
-- @module catalog.client.secret_file
local core = require "catalog.core"
local failure = require "catalog.base.failure"

local secret_file = {}

-- Bytes. A token is some kilobytes.
local LARGEST <const> = 65536

local VARIABLES <const> = { token_file = "AEP_ACCESS_TOKEN_FILE", client_secret_file = "AEP_CLIENT_SECRET_FILE" }

-- How the option is called, with the variable that stands for it.
local function shown(option)
  local variable = VARIABLES[option]
  return variable and ("%s (%s)"):format(option, variable) or option
end

-- What is wrong with it, or nil.
local function fault_of(secret)
  return secret == "" and "is empty" or secret:find "[\r\n]" and "has more than one line in it"
    or secret:find "%c" and "has a control character in it" or nil
end

--- Reads a secret. Blanks and newlines around it are no part of it.
-- @tparam string option the name of the option that names the file, such as `token_file`
-- @tparam string path
-- @treturn[1] string
-- @treturn[2] nil
-- @treturn[2] table error of kind `config`, with what is wrong with the file and nothing of what is in it; of kind
--   `limit`: no descriptors are left
function secret_file.read(option, path)
  local text, err = core.file.read(path, LARGEST)
  if not text then
    err.message = ("%s cannot be read: %s"):format(shown(option), err.message)
    return nil, err
  end
  local secret = text:match "^%s*(.-)%s*$"
  local fault = fault_of(secret)
  if fault then return failure("config", "%s cannot be used: %s %s", shown(option), path, fault) end
  return secret
end

return secret_file
