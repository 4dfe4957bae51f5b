local core = require "catalog.core"

describe("the core", function()
  it("has its parts, each a table of functions", function()
    for _, part in ipairs {
      "failure", "system", "json", "url", "engine", "client", "transfer", "batch", "file", "buffer", "journal",
    } do
      assert.is_table(core[part], part)
      local has_function = false
      for _, value in pairs(core[part]) do has_function = has_function or type(value) == "function" end
      assert.is_true(has_function, part)
    end
  end)
end)
