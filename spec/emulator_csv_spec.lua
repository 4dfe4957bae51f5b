-- How the emulator reads CSV.
local csv = require "catalog.emulator.csv"
local shell = require "support.shell"

local function records_of(text, format)
  local records = {}
  shell.with_directory(function(directory)
    shell.write(directory .. "/f", text)
    for fields, line in csv(directory .. "/f", format or {}) do records[#records + 1] = { fields, line } end
  end)
  return records
end

describe("the emulator's rows of CSV", function()
  it("are the fields of each line, and the line, whatever ends it", function()
    assert.same({ { { "a", "b" }, "a,b" }, { { "", "", "" }, ",," }, { { "c" }, "c" } }, records_of "a,b\r\n,,\nc")
    assert.same({}, records_of "")
  end)

  it("may be quoted, with delimiters, quotes and ends of lines in them", function()
    assert.same({ { { "a,b", 'c"d', "e\nf", "" }, '"a,b","c""d","e\nf",""' } }, records_of '"a,b","c""d","e\r\nf",""\r\n')
  end)

  it("have the delimiter and the quote of the format", function()
    assert.same({ { { "a,b", "c;d" }, "a,b;'c;d'" } }, records_of("a,b;'c;d'\n", { delimiter = ";", quote = "'" }))
  end)

  it("are told as broken where a quote does not close", function()
    assert.same({ { { "a" }, "a" }, { false, '"b\nc' } }, records_of 'a\n"b\nc\n')
  end)
end)
