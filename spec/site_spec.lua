-- The pages that `make docs` makes: whole, without a server, and without a link that leads nowhere.
local reference = require "support.reference"
local shell = require "support.shell"

-- Makes the site in a directory, and what LDoc has read beside it.
local function build(directory)
  shell.write(directory .. "/read", reference.text())
  local output, status = shell.run(("%s docs/site/build.lua %s/site %s/read"):format(shell.LUA, directory, directory))
  assert.equal(0, status, output)
  assert.equal("", output)
end

describe("the site", function()
  local directory, root
  setup(function()
    directory = shell.run "mktemp -d":gsub("%s+$", "")
    root = directory .. "/site/"
    build(directory)
  end)
  teardown(function() os.execute("rm -rf " .. shell.quote(directory)) end)

  it("has no link that leads nowhere", function()
    local output, status = shell.run(("%s docs/site/check.lua %s"):format(shell.LUA, root))
    assert.equal(0, status, output)
    assert.is_true(tonumber(output:match "(%d+) links") > 5000)
  end)

  it("has a page for each page of docs, for the README, and for each class", function()
    for path in shell.run "cd docs && find . -name '*.md'":gmatch "%S+" do
      assert.is_truthy(io.open(root .. path:gsub("%.md$", ".html")), path)
    end
    assert.matches("<h1", shell.read(root .. "index.html"), 1, true)
    for _, page in ipairs(reference.read().public) do
      local text = shell.read(("%sreference/%s.html"):format(root, page.name))
      for _, item in ipairs(page.items) do assert.matches((' id="%s"'):format(item.name), text, 1, true) end
    end
  end)

  it("takes nothing from elsewhere, so that it works from a file", function()
    for path in shell.run(("find %s -name '*.html'"):format(root)):gmatch "%S+" do
      local text = shell.read(path)
      for source in text:gmatch ' src="([^"]*)"' do assert.is_nil(source:find ":", path) end
      for sheet in text:gmatch '<link [^>]*href="([^"]*)"' do
        assert.is_true(sheet == "data:," or not sheet:find ":", path)
      end
      assert.matches('<html lang="en">', text, 1, true)
      assert.equal(1, select(2, text:gsub("<h1", "")), path)
    end
  end)

  it("tells what is public from what is internal", function()
    local batch = shell.read(root .. "reference/catalog.batch.html")
    assert.matches("batch:upload(name, source [, given])", batch, 1, true)
    assert.is_nil(batch:find("batch.state", 1, true))
    assert.matches("Internal: for who changes the module", shell.read(root .. "reference/internal/catalog.batch.html"), 1, true)
  end)

  it("renders markdown in comments, and links to Lua's manual and between pages", function()
    local client = shell.read(root .. "reference/catalog.client.html")
    assert.is_nil(client:gsub("<pre.->.-</pre>", ""):find("`", 1, true))
    assert.matches('<a href="https://www.lua.org/manual/5.4/manual.html#pdf-warn"><code>warn</code></a>', client, 1, true)
    assert.matches('href="catalog.batch.html"', client, 1, true)
    assert.matches('<span class="version">' .. require "catalog.base.version" .. "<", client, 1, true)
  end)

  it("is searched for items, options and sections", function()
    local index = shell.read(root .. "search-index.js")
    for _, entry in ipairs {
      '["catalog.batch:upload","Reference","reference/catalog.batch.html#upload"',
      '["part_size","option of catalog.batch:upload","reference/catalog.batch.html#upload.part_size"',
      '["What is tried again","Errors and retries","guide/errors-and-retries.html#what-is-tried-again"',
    } do
      assert.matches(entry, index, 1, true)
    end
  end)
end)

describe("the types for editors", function()
  it("are what the comments say, and Lua", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/read", reference.text())
      local output, status = shell.run(("%s docs/site/types.lua %s/catalog.lua %s/read"):format(shell.LUA, directory, directory))
      assert.equal(0, status, output)
      for _, name in ipairs { "catalog.lua", "catalog/emulator.lua" } do
        local made, kept = shell.read(directory .. "/" .. name), shell.read("docs/types/" .. name)
        assert.is_true(made == kept, name .. " is old: make types")
        assert(load(made, name, "t"))
      end
    end)
  end)

  it("have each public function and each option", function()
    local types = shell.read "docs/types/catalog.lua" .. shell.read "docs/types/catalog/emulator.lua"
    for _, page in ipairs(reference.read().public) do
      for _, item in ipairs(page.items) do
        local call = ("%s%s%s"):format(page.name:match "[%w_]+$", item.mark, item.name)
        assert.matches("\n" .. (item.is_function and "function " .. call .. "(" or call .. " = "), types, 1, true)
        for _, parameter in ipairs(item.parameters) do
          for _, option in ipairs(parameter.options or {}) do
            local class = item.full:gsub(":", ".") .. "." .. parameter.name
            local group, name = option.name:match "^([%w_]+)%.([%w_]+)$"
            if group then class = class .. "." .. group end
            local fields = types:match("\n%-%-%-@class %(exact%) " .. class:gsub("%p", "%%%0") .. "\n(.-)\n\n")
            assert.matches("---@field " .. (name or option.name) .. (option.optional and "? " or " "), "\n" .. (fields or ""), 1,
              true)
          end
        end
      end
    end
  end)

  it("are found by editors that open the project", function()
    assert.matches('"docs/types"', shell.read ".luarc.json", 1, true)
  end)
end)
