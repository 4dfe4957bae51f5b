-- What an error has to be.
local assert = require "luassert"

local errors = {}

--- That an error is of a kind, and says all of the texts.
function errors.assert_error(err, kind, ...)
  assert.equal(kind, err.kind, tostring(err))
  for _, text in ipairs { ... } do assert.matches(text, err.message, 1, true) end
end

--- That a call gave nil and such an error.
function errors.assert_refused(kind, text, value, err)
  assert.is_nil(value)
  errors.assert_error(err, kind, text)
end

return errors
