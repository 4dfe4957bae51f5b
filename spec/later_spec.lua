-- Modules that are read at the beginning, and compiled when they are needed.
local later = require "catalog.base.later"
local shell = require "support.shell"

-- Calls `body` with a module named `name` in a directory on the path.
local function with_module(name, text, body)
  shell.with_directory(function(directory)
    local path = package.path
    package.path = directory .. "/?.lua;" .. path
    finally(function()
      package.path = path
      package.loaded[name], package.preload[name] = nil, nil
    end)
    shell.write(("%s/%s.lua"):format(directory, name), text)
    body(directory)
  end)
end

describe("a module for later", function()
  it("is read at once and run when it is required, though its file is gone by then", function()
    with_module("spec_later", "spec_ran = (spec_ran or 0) + 1 return { name = ..., path = select(2, ...) }", function(directory)
      later.module "spec_later"
      assert.is_nil(rawget(_G, "spec_ran"))
      os.remove(directory .. "/spec_later.lua")
      local found = require "spec_later"
      assert.equal("spec_later", found.name)
      assert.equal(directory .. "/spec_later.lua", found.path)
      assert.equal(1, rawget(_G, "spec_ran"))
      rawset(_G, "spec_ran", nil)
    end)
  end)

  it("that is not there is an error where it is required, and not before", function()
    later.module "spec_later_none"
    assert.error_matches(function() require "spec_later_none" end, "module 'spec_later_none' not found", 1, true)
  end)

  it("gives a class its methods when one is called, with the arguments, and keeps those that are there", function()
    local class = { kept = function() return "kept" end }
    rawset(_G, "spec_class", class)
    with_module("spec_later_methods", [[
      function spec_class.one(...) return "one", ... end
      function spec_class.two(...) return "two", ... end
    ]], function()
      later.methods(class, "spec_later_methods", { "one", "two", "kept" })
      local first = class.one
      assert.is_nil(package.loaded.spec_later_methods)
      assert.same({ "one", 1, nil, 3 }, { class.one(1, nil, 3) })
      assert.is_true(package.loaded.spec_later_methods)
      assert.not_equal(first, class.one)
      assert.same({ "two", 2 }, { class.two(2) })
      assert.equal("kept", class.kept())
    end)
    rawset(_G, "spec_class", nil)
  end)

  it("that gives its methods to another class is an error, and no call without end", function()
    local class = {}
    with_module("spec_later_another", "return {}", function()
      later.methods(class, "spec_later_another", { "one" })
      assert.error_matches(function() class.one() end, "spec_later_another was loaded for another class", 1, true)
    end)
  end)
end)
