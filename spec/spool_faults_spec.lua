-- What a spool does when its disk fails: spec/scripts/disk.c is that disk.
local core = require "catalog.core"
local disk = require "support.disk"
local losses = require "support.losses"
local many = require "support.many_spools"
local power = require "support.power"
local shell = require "support.shell"

-- All of these at once: they wait for the disk to be tried again.
describe("a spool whose disk fails at each call in turn", function()
  local RUNS <const> = {
    "pwrite ENOSPC 0", "pwrite SHORT 1", "openat ENOSPC 0", "unlinkat EIO 1", "renameat EIO 0", "ftruncate EIO 1",
    "fdatasync EIO 0", "fsync EIO 2", "fsync EIO 0", "pwrite ENOSPC 1 opening", "fsync EIO 1 opening",
    "mkdirat ENOSPC 1 opening",
  }

  it("goes on once it does not, and nothing is lost or doubled", function()
    disk.with_directory(function(directory)
      disk.fails(directory, RUNS, 6)
    end)
  end)
end)

describe("a spool of a machine whose power is lost", function()
  it("has what was said to be on the disk, once, and of the rest nothing twice", function()
    local seed = os.time()
    losses.run_many(5, 8, seed) -- an error says of which
  end)
end)

describe("a spool whose disk has failed, and says later that all is well", function()
  -- What the script has printed, and what there is after the power was lost.
  local function run(fault, check)
    disk.with_directory(function(directory)
      local path, after = directory .. "/spool", directory .. "/after"
      core.fs.mkdir(path)
      local before = power.of(path, true)
      local output = disk.run(("spec/scripts/disk_lies.lua %s %s %s"):format(path, directory .. "/trace", fault))
      before:read(directory .. "/trace")
      before:lose()
      before:make(after)
      local one = many.new(after)
      local state = assert(one:open())
      one:close()
      check(output, one:content(), state["source/s"])
    end)
  end

  for fault, what in pairs { no_room = "has had no room for a copy at first", names = "has not synced the names of files" } do
    it("does not believe it, also where it " .. what, function()
      run(fault, function(output, text, position)
        assert.matches("^synced\t1000\t", output)
        assert.equal(many.numbers(1, 1000), text)
        assert.equal(1000, position)
      end)
    end)
  end

  for fault, what in pairs { unlike = "something else", unreadable = "nothing" } do
    it("is broken when it reads " .. what .. ", and has what it had before", function()
      run(fault, function(output, text, position)
        local why = "the disk has failed, and does not give back what was written to it"
        assert.equal(("the spool cannot go on: %s [config]\t10\t2\n"):format(why), output:match "^[^\n]*\n")
        assert.equal(2, select(2, output:gsub("the spool cannot go on: " .. why, "")))
        assert.matches("990 records were not written to the spool: " .. why, output, 1, true)
        assert.equal(many.numbers(1, 10), text)
        assert.equal(10, position)
      end)
    end)
  end
end)

describe("a spool on a network's file system", function()
  it("is refused", function()
    disk.with_directory(function(directory)
      local output, status = disk.run("spec/scripts/disk_is_remote.lua " .. directory)
      assert.equal(0, status, output)
      assert.matches("^nil\tthe spool .*/remote is on a network file system, .*; give a directory of a local disk", output)
    end)
  end)
end)

describe("a spool that may not be written", function()
  it("is refused, and says why", function()
    shell.with_directory(function(directory)
      many.new(directory .. "/spool"):open()
      collectgarbage() -- which closes it
      local alone = ("unshare -m sh -c 'mount --bind %s %s && mount -o remount,ro,bind %s && "):format(directory, directory,
        directory)
      local _, status = shell.run(alone .. "true' 2>/dev/null")
      if status ~= 0 then return pending "nothing can be mounted here" end
      local script = directory .. "/script.lua"
      shell.write(script, 'print(require "catalog.core".spool.open { path = ... })')
      for _, name in ipairs { "spool", "new" } do
        local output = shell.run(("%sexec env %s %s %s/%s'"):format(alone, shell.LUA, script, directory, name))
        assert.matches("^nil\t.*/" .. name .. ".*Read%-only file system", output)
      end
    end)
  end)
end)

describe("a spool whose directory is not as it was left", function()
  -- Calls `body(one, directory)` with a spool that was opened.
  local function with_spool(options, body)
    disk.with_directory(function(directory)
      local one = many.new(directory .. "/spool", options)
      assert(one:open())
      body(one, directory)
      assert(one:close() == nil)
    end)
  end

  it("does not keep what is behind the end of a segment, nor take it for something else", function()
    with_spool({ file_bytes = 100 }, function(one)
      one:lines(many.numbers(1, 30), 30)
      one:insist "sync"
      one:close()
      local files = core.fs.list(one.path .. "/seg")
      table.sort(files)
      local last = one.path .. "/seg/" .. files[#files]
      shell.write(last, shell.read(last) .. '{"n":31}\n{"n"')
      local before = one.path .. "/seg/" .. files[1]
      local text = shell.read(before)
      shell.write(before, (text:gsub("1", "7")))
      shell.write(one.path .. "/rejected/records.jsonl", "{")
      assert(one:open())
      assert.has_error(function() one:content() end, "segment 1 is not what was written")
      assert.equal("", shell.read(one.path .. "/rejected/records.jsonl"))
      shell.write(before, text)
      assert.equal(many.numbers(1, 30), (one:content()))
    end)
  end)

  it("is for one dataset while anything waits in it", function()
    with_spool({ dataset = '"a"' }, function(one)
      one:close()
      assert(one:open { dataset = '"b"' }) -- nothing waits
      one:lines(many.numbers(1, 3), 3)
      one:close()
      local no, err = one:open()
      assert.is_nil(no)
      assert.matches('is for the dataset "b", not for "a"', err.message, 1, true)
      assert(one:open { dataset = '"b"' })
    end)
  end)

  it("is what it was when it comes from a backup, also one that was made while it was written", function()
    with_spool({ file_bytes = 100 }, function(one, directory)
      one:lines(many.numbers(1, 30), 30)
      one:insist "sync"
      shell.run(("cp -r %s %s/backup"):format(one.path, directory))
      one:lines(many.numbers(31, 60), 60)
      one:insist "sync"
      one:close()
      shell.run(("mv %s/seg/* %s/backup/seg; rm -rf %s; mv %s/backup %s"):format(one.path, directory, one.path, directory,
        one.path))
      local state = assert(one:open())
      assert.equal(30, state["source/s"])
      one:lines(many.numbers(31, 40), 40)
      one:insist "sync"
      assert.equal(many.numbers(1, 40), (one:content()))
    end)
  end)

  it("makes a segment again that was removed while it was filled", function()
    with_spool({}, function(one)
      one:lines(many.numbers(1, 30), 30)
      one:insist "sync"
      os.remove(one.path .. "/seg/0000000001.jsonl")
      one:lines(many.numbers(31, 60), 60)
      one:insist "sync"
      assert.equal(many.numbers(1, 60), (one:content()))
    end)
  end)

  for what, why in pairs { ["seg"] = "its directory was removed", ["journal.a"] = "its journal was removed" } do
    it("is broken, and says that, when its " .. what .. " is removed", function()
      with_spool({}, function(one)
        core.fs.remove(one.path .. "/" .. what)
        pcall(one.lines, one, many.numbers(1, 30), 30) -- in the middle of which it may be seen
        local ok, err = one:job "sync"
        assert.is_nil(ok)
        assert.matches("the spool cannot go on: " .. why, err.message)
        pcall(one.close, one)
        one.close = function() end
      end)
    end)
  end
end)
