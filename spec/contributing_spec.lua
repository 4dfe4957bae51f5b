-- What is written for those who work on the project: what it names is there, and editors, formatters and linters agree.
local shell = require "support.shell"

local PAGES <const> = { "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/stability.md", "docs/third-party.md" }

local function exists(path) return select(2, shell.run("test -e " .. shell.quote(path))) == 0 end

-- All that `pattern` captures in the pages and `is_there` denies, with the page.
local function missing(pattern, is_there)
  local list, count = {}, 0
  for _, page in ipairs(PAGES) do
    for found in shell.read(page):gmatch(pattern) do
      count = count + 1
      if not is_there(found, page) then list[#list + 1] = ("%s: %s"):format(page, found) end
    end
  end
  assert.is_true(count > 0)
  return list
end

describe("the pages for those who work on it", function()
  it("name files that are there", function()
    assert.same({}, missing("`([%w_.]*/?[%w_]+/[%w_./]*)`", function(path)
      return path:find "^build/" or path:find "_$" or exists(path)
    end))
  end)

  it("link to what is there", function()
    assert.same({}, missing("%]%(([^)#:]+)[^):]*%)", function(path, page)
      return exists((page:match "^.*/" or "") .. path)
    end))
  end)

  it("name targets of the Makefile", function()
    local phony = shell.read("Makefile"):gsub("\\\n", ""):match "\n%.PHONY: ([^\n]*)"
    assert.same({}, missing("`make ([%w-]+)", function(target)
      return (" " .. phony .. " "):find(" " .. target .. " ", 1, true)
    end))
  end)
end)

describe(".editorconfig", function()
  -- The settings for a name, the last of which counts.
  local function settings_of(...)
    local settings, wanted = {}, false
    local sections = { ["*"] = true }
    for _, section in ipairs { ... } do sections[section] = true end
    for line in shell.read(".editorconfig"):gmatch "[^\n]+" do
      local section = line:match "^%[(.+)%]$"
      if section then wanted = sections[section] end
      local name, value = line:match "^([%w_]+) = (.+)$"
      if wanted and name then settings[name] = value end
    end
    return settings
  end

  it("says of C what the formatter does", function()
    local text, c = shell.read ".clang-format", settings_of "*.{c,h}"
    assert.same({ text:match "IndentWidth: (%d+)", text:match "ColumnLimit: (%d+)" },
      { c.indent_size, c.max_line_length })
  end)

  it("says of Lua what luacheck does", function()
    assert.equal(shell.read(".luacheckrc"):match "\nmax_line_length = (%d+)", settings_of().max_line_length)
  end)

  it("is kept to: no blanks at the ends of lines, no tabs, and a line's end at the end", function()
    local texts = "git ls-files -z -- '*.lua' '*.c' '*.h' '*.sh' '*.md' '*.yml' ':!spec/fuzz/corpus' 2>/dev/null"
    local without_git = "find lua csrc spec examples -name '*.lua' -print0"
    local list = ("if [ -e .git ]; then %s; else %s; fi"):format(texts, without_git)
    assert.equal("", (shell.run(("{ %s; } | xargs -0 grep -nE ' $'"):format(list))))
    assert.equal("", (shell.run(("{ %s; } | xargs -0 grep -nP '\\t' | grep -v '\\.md:'"):format(list))))
    assert.equal("", (shell.run(("{ %s; } | xargs -0 -I F sh -c '[ -z \"$(tail -c 1 F)\" ] || echo F'"):format(list))))
  end)
end)
