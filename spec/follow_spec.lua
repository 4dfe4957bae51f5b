local Follow = require "catalog.cli.follow"
local identity = require "catalog.cli.identity"
local shell = require "support.shell"
local taker = require "support.taker"

local function append(path, text)
  local file <close> = assert(io.open(path, "ab"))
  assert(file:write(text))
end

-- Lines from one number to another.
local function numbers(first, last)
  local list = {}
  for i = first, last do list[#list + 1] = ('{"n":%d}\n'):format(i) end
  return table.concat(list)
end

-- A file, who takes its lines, and `follow(more)`: a follower that begins as after a start.
local function with_file(body)
  shell.with_directory(function(directory)
    local takes, followers = taker.new(), {}
    local function follow(more)
      followers[#followers + 1] = Follow.new(directory .. "/app.jsonl", takes:given(more))
      return followers[#followers]
    end
    body(directory .. "/app.jsonl", takes, follow)
    for _, one in ipairs(followers) do one:close() end
  end)
end

describe("a file that is followed", function()
  it("is read as it grows, by whole lines", function()
    with_file(function(path, takes, follow)
      local followed = follow()
      assert.equal("", takes:take(followed)) -- it is not there yet
      append(path, numbers(1, 2) .. '{"n"')
      assert.equal(numbers(1, 2), takes:take(followed))
      append(path, ":3}")
      assert.equal("", takes:take(followed))
      append(path, "\n")
      assert.equal(numbers(3, 3), takes:take(followed))
    end)
  end)

  it("goes on where it was left, at each length of it", function()
    for _, step in ipairs { 1, 7, 300, 500 } do
      with_file(function(path, takes, follow)
        for first = 1, 1200, step do
          append(path, numbers(first, first + step - 1))
          assert.equal(numbers(first, first + step - 1), takes:take(follow()))
        end
        local count = 0
        for name in pairs(takes.positions) do count = count + (name:find "^file:" and 1 or 0) end
        assert.is_true(count <= 2)
      end)
    end
  end)

  it("goes on behind what is on disk, after a crash", function()
    with_file(function(path, takes, follow)
      append(path, numbers(1, 10))
      takes:take(follow())
      append(path, numbers(11, 20))
      follow():next() -- taken, and lost
      append(path, numbers(21, 30))
      assert.equal(numbers(11, 30), takes:take(follow()))
    end)
  end)

  it("may have a line that is longer than a record", function()
    with_file(function(path, takes, follow)
      local followed = follow()
      append(path, numbers(1, 1) .. ("x"):rep(300000))
      assert.equal(numbers(1, 1), takes:take(followed))
      append(path, ("x"):rep(600000) .. "\n" .. numbers(2, 2))
      assert.equal(("x"):rep(1002) .. "\n" .. numbers(2, 2), takes:take(followed))
      append(path, numbers(3, 3))
      assert.equal(numbers(3, 3), takes:take(follow()))
    end)
  end)
end)

describe("what is known of files", function()
  it("is the latest of each inode, which no forgetting changes", function()
    for seed = 1, 200 do
      math.randomseed(seed)
      local sources = { ["file:x"] = 1, ["followed:/a"] = 2 }
      local ids = { "fd00:1", "fd00:2", "fd01:1", "fd00:12" }
      for _ = 1, math.random(20) do
        local length = math.random(3) == 1 and 4096 or math.random(40)
        sources[("file:%s:%d:%d:%x"):format(ids[math.random(#ids)], math.random(3), length, length)] = math.random(9)
      end
      local function known(beginning)
        local found = {}
        for name, position in pairs(sources) do
          if name:sub(1, #beginning) == beginning then found[name] = position end
        end
        return found
      end
      local function latest()
        local found = {}
        for i, id in ipairs(ids) do found[i] = identity.latest(known, id) or false end
        return found
      end
      local before = latest()
      for _, name in ipairs(identity.outdated(known)) do sources[name] = nil end
      assert.same(before, latest())
      local count = 0
      for _, one in ipairs(before) do count = count + (one and 1 or 0) end
      for name in pairs(sources) do count = count - (name:find "^file:f" and 1 or 0) end
      assert.same({ 0, 1, 2 }, { count, sources["file:x"], sources["followed:/a"] })
    end
  end)
end)

describe("rotation by renaming", function()
  it("is followed: the rest of the old file comes before the new one", function()
    with_file(function(path, takes, follow)
      local followed = follow()
      append(path, numbers(1, 2))
      takes:take(followed)
      append(path, numbers(3, 4))
      os.rename(path, path .. ".1")
      append(path .. ".1", numbers(5, 5)) -- the writer has it open
      append(path, numbers(7, 8))
      assert.equal(numbers(3, 5) .. numbers(7, 8), takes:take(followed))
      append(path .. ".1", numbers(6, 6))
      append(path, numbers(9, 9))
      assert.equal(numbers(6, 6) .. numbers(9, 9), takes:take(followed))
    end)
  end)

  it("loses nothing while the new file is not there yet", function()
    with_file(function(path, takes, follow)
      local followed = follow()
      append(path, numbers(1, 1))
      takes:take(followed)
      os.rename(path, path .. ".1")
      append(path .. ".1", numbers(2, 2))
      assert.equal(numbers(2, 2), takes:take(followed))
      append(path, numbers(3, 3))
      assert.equal(numbers(3, 3), takes:take(followed))
    end)
  end)

  it("ends a line that has none, once the file is quiet", function()
    with_file(function(path, takes, follow)
      local followed = follow { quiet = 0 }
      append(path, numbers(1, 1) .. '{"n":2}')
      takes:take(followed)
      os.rename(path, path .. ".1")
      append(path, numbers(3, 3))
      assert.equal('{"n":2}' .. numbers(3, 3), takes:take(followed))
    end)
  end)

  it("is followed several times at once", function()
    with_file(function(path, takes, follow)
      local followed = follow()
      append(path, numbers(1, 1))
      takes:take(followed)
      for i = 1, 3 do
        shell.run(("cd %s/.. 2>/dev/null; for i in 3 2 1; do mv -f %s.$i %s.$((i+1)); done; mv %s %s.1"):format(
          path:match "^.*/", path, path, path, path))
        append(path, numbers(i + 1, i + 1))
      end
      assert.equal(numbers(2, 4), takes:take(followed))
    end)
  end)

  it("is made up for after a start: what is beside is finished, and what came between is read", function()
    with_file(function(path, takes, follow)
      append(path, numbers(1, 5))
      takes:take(follow())
      append(path, numbers(6, 7))
      os.rename(path, path .. ".2")
      append(path .. ".1", numbers(8, 9)) -- nobody has seen it
      append(path, numbers(10, 11))
      assert.equal(numbers(6, 11), takes:take(follow()))
      assert.equal("", takes:take(follow()))
      append(path .. ".1", numbers(12, 12)) -- late
      assert.equal(numbers(12, 12), takes:take(follow()))
    end)
  end)

  it("is made up for when the new file comes later than the start", function()
    with_file(function(path, takes, follow)
      append(path, numbers(1, 5))
      takes:take(follow())
      append(path, numbers(6, 6))
      os.rename(path, path .. "-2026-11-25")
      local followed = follow()
      assert.equal(numbers(6, 6), takes:take(followed))
      append(path, numbers(7, 7))
      assert.equal(numbers(7, 7), takes:take(followed))
    end)
  end)

  it("is made up for where files were changed at the same moment", function()
    with_file(function(path, takes, follow)
      append(path, numbers(1, 2))
      takes:take(follow())
      for i = 12, 2, -1 do
        os.rename(path, ("%s.%d"):format(path, i))
        append(path, numbers(15 - i, 15 - i))
      end
      shell.run(("touch -d '1 hour ago' %s*"):format(path))
      assert.equal(numbers(3, 13), takes:take(follow()))
    end)
  end)

  it("leaves alone what was rotated before the first start", function()
    with_file(function(path, takes, follow)
      append(path .. ".1", numbers(1, 5))
      append(path, numbers(6, 7))
      assert.equal(numbers(6, 7), takes:take(follow()))
    end)
  end)

  it("says what was compressed unread", function()
    with_file(function(path, takes, follow)
      append(path, numbers(1, 5))
      takes:take(follow())
      os.rename(path, path .. ".2")
      append(path .. ".1", numbers(6, 6))
      shell.run("gzip " .. path .. ".1")
      append(path, numbers(7, 7))
      assert.equal(numbers(7, 7), takes:take(follow()))
      assert.matches("app.jsonl.1.gz has no JSON lines, or is compressed", takes.notes[1])
    end)
  end)
end)

describe("a file whose past is gone", function()
  it("is told, and what was rotated since is read", function()
    with_file(function(path, takes, follow)
      append(path .. ".2", numbers(1, 1)) -- before the first start
      append(path, numbers(2, 5))
      takes:take(follow())
      append(path, numbers(6, 6))
      shell.run(("gzip %s; touch -d '10 seconds' %s.gz"):format(path, path))
      append(path .. ".1", numbers(7, 8))
      shell.run(("touch -d '11 seconds' %s.1"):format(path))
      append(path, numbers(9, 9))
      assert.equal(numbers(7, 9), takes:take(follow()))
      assert.matches("was followed before, and the file that was read last is not beside it", takes.notes[1])
      assert.matches("app.jsonl.gz has no JSON lines, or is compressed", takes.notes[2])
      assert.equal("", takes:take(follow()))
      assert.equal(2, #takes.notes)
    end)
  end)

  it("is read from its beginning by who has not followed it", function()
    with_file(function(path, takes, follow)
      append(path, numbers(1, 2))
      assert.equal(numbers(1, 2), takes:take(follow()))
      assert.same({}, takes.notes)
    end)
  end)
end)

describe("rotation by copying", function()
  local function copy_and_cut(path)
    shell.run(("cp -p %s %s.1; : >%s"):format(path, path, path))
  end

  it("is followed: what was not read yet is in the copy", function()
    with_file(function(path, takes, follow)
      local followed = follow()
      append(path, numbers(1, 2))
      takes:take(followed)
      append(path, numbers(3, 4))
      copy_and_cut(path)
      append(path, numbers(5, 5))
      assert.equal(numbers(3, 5), takes:take(followed))
      append(path, numbers(6, 600))
      assert.equal(numbers(6, 600), takes:take(followed))
      copy_and_cut(path)
      append(path, numbers(601, 2000)) -- longer than it was
      assert.equal(numbers(601, 2000), takes:take(followed))
      assert.equal("", takes:take(follow()))
    end)
  end)

  it("is made up for after a start", function()
    with_file(function(path, takes, follow)
      append(path, numbers(1, 5))
      takes:take(follow())
      append(path, numbers(6, 7))
      copy_and_cut(path)
      append(path, numbers(8, 8))
      assert.equal(numbers(6, 8), takes:take(follow()))
      assert.equal("", takes:take(follow()))
    end)
  end)

  it("is followed when it comes again before anything was read", function()
    with_file(function(path, takes, follow)
      local followed = follow()
      append(path, numbers(1, 2))
      takes:take(followed)
      copy_and_cut(path)
      assert.equal("", takes:take(followed))
      append(path, numbers(3, 4))
      os.rename(path .. ".1", path .. ".2")
      copy_and_cut(path)
      append(path, numbers(5, 6))
      assert.equal(numbers(3, 6), takes:take(followed))
      assert.equal("", takes:take(follow()))
    end)
  end)

  it("is seen where the file begins as before", function()
    with_file(function(path, takes, follow)
      append(path, numbers(1, 3))
      takes:take(follow())
      shell.run(": >" .. path)
      append(path, numbers(1, 2))
      assert.equal(numbers(1, 2), takes:take(follow()))
      append(path, numbers(3, 4))
      assert.equal(numbers(3, 4), takes:take(follow()))
    end)
  end)
end)
