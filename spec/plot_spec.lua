-- The pictures of the docs are those of the numbers beside them.
local shell = require "support.shell"

local CHARTS <const> = { "speed", "memory", "batches", "lateness" }
local FIGURES <const> = "docs/pictures/figures.jsonl"

local function draw(figures, directory)
  return shell.run(("%s spec/bench/plot.lua %s %s"):format(shell.LUA, figures, directory))
end

describe("the pictures of what was measured", function()
  it("are drawn of the bench's figures as they are", function()
    shell.with_directory(function(directory)
      local output, status = draw(FIGURES, directory)
      assert.equal(0, status, output)
      for _, name in ipairs(CHARTS) do
        local kept = shell.read(("docs/pictures/%s.svg"):format(name))
        assert.is_true(kept == shell.read(("%s/%s.svg"):format(directory, name)), name .. " is old: make bench PLOT=1")
      end
    end)
  end)

  it("are XML, have a title and a text for who does not see them, and colours for light and dark", function()
    for path in shell.run "ls docs/pictures/*.svg":gmatch "%S+" do
      local output, status = shell.run(("python3 -c 'import sys, xml.dom.minidom as d; d.parse(sys.argv[1])' %s"):format(path))
      assert.equal(0, status, output)
      local text = shell.read(path)
      assert.matches("<title id=\"title\">[^<]+</title>", text)
      assert.matches("<desc id=\"text\">[^<]+</desc>", text)
      assert.matches("@media (prefers-color-scheme: dark)", text, 1, true)
      assert.is_nil(text:find "nan" or text:find "inf[^a-z]")
    end
  end)

  it("are on the pages, with words for who does not see them", function()
    local pages = shell.run "cat docs/*.md docs/guide/*.md"
    for path in shell.run "cd docs && ls pictures/*.svg":gmatch "%S+" do
      assert.matches("!%[[^%]]+%]%([./]*" .. path:gsub("%p", "%%%0") .. "%)", pages)
    end
  end)

  it("change with a figure", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/figures", (shell.read(FIGURES):gsub('"ratio":[%d.]+', '"ratio":0.123')))
      assert.equal("", (draw(directory .. "/figures", directory)))
      assert.matches(">0.12<", shell.read(directory .. "/speed.svg"), 1, true)
    end)
  end)
end)
