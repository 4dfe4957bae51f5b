-- Options of a creation that people get wrong: each message is checked.
local errors = require "support.errors"
local service = require "support.service"

local DATASET <const> = service.DATASET
local NOWHERE <const> = "http://127.0.0.1:1" -- the port of tcpmux, where nobody listens

local function nowhere(changes)
  return service.client(NOWHERE, changes)
end

local assert_error <const> = errors.assert_error

describe("options of create_batch", function()
  it("need a dataset", function()
    for _, options in ipairs { {}, { format = "json" } } do
      local batch, err = nowhere():create_batch(options)
      assert.is_nil(batch)
      assert_error(err, "data", "create_batch needs the id of a dataset: { dataset = '...' }")
    end
    local batch, err = nowhere():create_batch()
    assert.is_nil(batch)
    assert_error(err, "data", "create_batch needs the id of a dataset")
  end)

  it("need a dataset that is not empty", function()
    local _, err = nowhere():create_batch { dataset = "" }
    assert_error(err, "data", "dataset is empty")
  end)

  it("raise when unknown, with the nearest known one and the caller's line", function()
    local ok, message = pcall(function() nowhere():create_batch { datset = DATASET } end)
    assert.is_false(ok)
    assert.matches("^[^\n]*creation_spec.lua:%d+: unknown option 'datset' for create_batch %(did you mean 'dataset'%?%)$",
      message)
    local nested, inner = pcall(function() nowhere():create_batch { dataset = DATASET, csv = { delimeter = ";" } } end)
    assert.is_false(nested)
    assert.matches("unknown option 'delimeter' for create_batch.csv (did you mean 'delimiter'?)", inner, 1, true)
  end)

  it("raise when of a wrong type", function()
    for option, case in pairs {
      dataset = { 17, "string or table expected, got number" }, format = { true, "string expected, got boolean" },
      multiline = { "yes", "boolean expected, got string" }, tags = { "a", "table expected, got string" },
      partial_ingestion = { "5", "number expected, got string" }, timeout = { "5", "number expected, got string" },
      extra = { "x", "table expected, got string" }, sandbox = { 1, "string expected, got number" },
      replay = { "b", "table expected, got string" },
    } do
      local options = { dataset = DATASET, [option] = case[1] }
      local ok, message = pcall(function() nowhere():create_batch(options) end)
      assert.is_false(ok)
      assert.matches(("bad option '%s' for create_batch (%s)"):format(option, case[2]), message, 1, true)
    end
    assert.error_matches(function() nowhere():create_batch "5c8c" end,
      "bad argument to create_batch (a table of options expected, got string)", 1, true)
    assert.error_matches(function() nowhere():batch(17) end, "the id is a string, got number", 1, true)
  end)

  it("are refused when their values cannot be", function()
    for _, case in ipairs {
      { { format = "jsn" }, "format 'jsn' is not known; it is json, parquet or csv" },
      { { format = "json", csv = { delimiter = ";" } }, "csv options need format = 'csv', and it is 'json'" },
      { { format = "csv", multiline = true }, "multiline needs format = 'json', and it is 'csv'" },
      { { partial_ingestion = 101 }, "partial_ingestion is a percentage, 0 to 100" },
      { { partial_ingestion = 0 / 0 }, "partial_ingestion is a percentage, 0 to 100" },
      { { tags = { a = "b" } }, "tags.a must be a list of strings" },
      { { tags = { a = { 1 } } }, "tags.a must be a list of strings" },
      { { tags = { "a" } }, "tags must be a table of name = { 'value', ... }" },
      { { replay = { predecessors = { 1 } } }, "replay.predecessors must be a list of strings" },
      { { extra = { a = { print } } }, "options.a[1] is a function" },
      { { external_id = "\255" }, "options.externalId" },
    } do
      case[1].dataset = DATASET
      local batch, err = nowhere():create_batch(case[1])
      assert.is_nil(batch)
      assert_error(err, "data", case[2])
    end
    local _, err = nowhere():create_batch { dataset = DATASET, timeout = 0 }
    assert_error(err, "config", "timeout must be more than 0")
  end)

  it("refuse a sandbox with a newline in it", function()
    local _, err = nowhere():create_batch { dataset = DATASET, sandbox = "dev\nx-evil: 1" }
    assert_error(err, "config", "sandbox has a newline or another control character in it")
  end)
end)
