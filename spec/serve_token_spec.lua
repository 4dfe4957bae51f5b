local Token = require "catalog.serve.token"
local core = require "catalog.core"
local shell = require "support.shell"

local function is_taken(token, value) return token:is_in { authorization = "Bearer " .. value } end

describe("the token of catalog serve", function()
  it("is that of the file, which may be replaced", function()
    shell.with_directory(function(directory)
      local path = directory .. "/token"
      shell.write(path, "first\n")
      local token = assert(Token.new(path))
      assert.is_true(is_taken(token, "first"))
      shell.write(path, "second\n")
      assert.is_false(is_taken(token, "second")) -- who guesses does not make it read the file all the time
      assert.is_true(token:read())
      assert.is_true(is_taken(token, "second"))
      assert.is_false(is_taken(token, "first"))
      shell.write(path, "third\n")
      token.read_at = token.read_at - 1
      assert.is_true(is_taken(token, "third"))
    end)
  end)

  it("stays what it was where the file cannot be read", function()
    shell.with_directory(function(directory)
      local path = directory .. "/token"
      shell.write(path, "first\n")
      local token = assert(Token.new(path))
      shell.write(path, "\n")
      local ok, err = token:read()
      assert.is_nil(ok)
      assert.equal("listen_token_file cannot be used: " .. path .. " is empty", err.message)
      assert.is_true(is_taken(token, "first"))
      assert.is_false(is_taken(token, ""))
      os.remove(path)
      ok, err = Token.new(path)
      assert.is_nil(ok)
      assert.matches("^listen_token_file cannot be read: ", err.message)
    end)
  end)

  it("is compared whole", function()
    local same = core.system.same_secret
    for _, case in ipairs {
      { "", "", true }, { "a", "", false }, { "", "a", false }, { "aa", "a", false }, { "a", "aa", false }, { "ab", "ab", true },
      { "ab", "aa", false }, { "a\0b", "a\0c", false }, { ("x"):rep(5000), ("x"):rep(5000), true },
    } do assert.equal(case[3], same(case[1], case[2])) end
  end)
end)
