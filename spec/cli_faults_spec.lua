-- What the program says of a service that does not answer: once, at once, with what it does about it.
local command = require "support.command"
local emulator = require "catalog.emulator"
local service = require "support.service"
local shell = require "support.shell"

local NOWHERE <const> = { url = "http://127.0.0.1:1" }

-- The lines of a text.
local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local function start(server, words, more)
  return shell.start(command.environment(server, more) .. " " .. command.PROGRAM .. " " .. words)
end

-- Waits until a file has a text, and gives what is in it.
local function await(path, text)
  for _ = 1, 1500 do
    local said = shell.read(path)
    if said:find(text, 1, true) then return said end
    shell.run "sleep 0.02"
  end
  error(path .. " never had " .. text)
end

-- What each command says that is started at once, and its exit code.
local function each(commands, check)
  local started = {}
  for i, one in ipairs(commands) do started[i] = start(table.unpack(one)) end
  for i, one in ipairs(commands) do check(one[2], started[i]()) end
end

describe("a port that nobody listens at", function()
  it("is told once, with what is tried, by each command", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/a.json", "{}\n")
      local commands = {}
      for i, words in ipairs {
        "status b", "errors b", "create --dataset d", "complete b", "abort b", "revert b", "upload b FOLDER/a.json",
        "upload b --dataset d FOLDER/a.json", "ingest --dataset d FOLDER/a.json", "ingest --dataset d - <FOLDER/a.json",
      } do commands[i] = { NOWHERE, (words:gsub("FOLDER", directory)) } end
      each(commands, function(words, output, status)
        local lines = lines_of(output)
        assert.equal(75, status, words .. ": " .. output)
        assert.matches("^catalog: %u+ http://127.0.0.1:1/.*: cannot connect; check the URL, and whether the server runs .*;"
          .. " it is tried again, up to 5 times in all$", lines[1])
        assert.same({ "catalog: given up after 5 tries" }, { table.unpack(lines, 2) }, words)
      end)
    end)
  end)

  it("is shown at each try, or once, where that is asked for, and so is a proxy's", function()
    local https <const> = { url = "https://aep.invalid" }
    local checks = {
      ["-v -q status b"] = function(output)
        assert.equal(5, select(2, output:gsub("GET http://%S+/batches/b %- [%d.]+ s cannot connect;", "")), output)
      end,
      ["-q status b"] = function(output)
        assert.equal(1, select(2, output:gsub("\n", "")))
        assert.matches("cannot connect; .*%(after 5 tries%) %[network%]\n$", output)
      end,
      ["status by-environment"] = function(output)
        assert.matches("cannot connect to the proxy", output, 1, true)
        assert.matches("(http://127.0.0.1:1 of https_proxy: ", output, 1, true)
      end,
      ["-q status b --proxy http://127.0.0.1:1"] = function(output)
        assert.matches("cannot connect to the proxy; .-127%.0%.0%.1:1", output)
      end,
    }
    each({
      { NOWHERE, "-v -q status b" }, { NOWHERE, "-q status b" }, { https, "-q status b --proxy http://127.0.0.1:1" },
      { https, "status by-environment", "NO_PROXY= no_proxy= https_proxy=http://127.0.0.1:1" },
    }, function(words, output, status)
      assert.equal(75, status, output)
      checks[words](output)
    end)
  end)

  it("is told before it is tried again", function()
    shell.with_directory(function(directory)
      local _, status = shell.run(("%s %s wait b 2>%s/said & pid=$!; until [ -s %s/said ]; do kill -0 $pid || break;"
        .. " sleep 0.02; done; kill $pid; wait $pid"):format(command.environment(NOWHERE), command.PROGRAM, directory, directory))
      assert.equal(143, status)
      local lines = lines_of(shell.read(directory .. "/said"))
      assert.matches("cannot connect; .-; the batch goes on without us, and is looked up again, less and less often$", lines[1])
      assert.same({ "catalog: ended by SIGTERM", "catalog: the batch b goes on; catalog wait b waits for it again" },
        { table.unpack(lines, 2) })
    end)
  end)

  it("does not end a wait before its time, which says how to go on", function()
    local output, status = command.run(NOWHERE, "wait --timeout 2s b")
    local lines = lines_of(output)
    assert.equal(75, status, output)
    assert.equal("catalog: the batch b goes on; catalog wait b waits for it again", lines[#lines])
    assert.equal(3, #lines, output)
  end)
end)

describe("a service that is away for a while", function()
  it("is waited for, and the batch is there still", function()
    shell.with_directory(function(directory)
      local url, id
      do
        local server <close> = assert(emulator.start { data_dir = directory .. "/data" })
        local batch = assert(service.client(server.url):create_batch { dataset = "d", format = "json" })
        assert(batch:upload("a.json", { data = "{}\n" }))
        assert(batch:complete())
        assert(batch:wait())
        url, id = server.url, batch.id
      end
      local finish = start({ url = url }, ("wait %s 2>%s/said"):format(id, directory))
      shell.run(("until [ -e %s/said ]; do sleep 0.02; done"):format(directory))
      await(directory .. "/said", "is looked up again")
      local again <close> = assert(emulator.start { data_dir = directory .. "/data", port = tonumber(url:match "%d+$") })
      assert.equal(url, again.url)
      local output, status = finish()
      assert.equal(0, status, output)
      assert.matches("\nstatus +success\n", output)
      local lines = lines_of(shell.read(directory .. "/said"))
      assert.equal(2, #lines)
      assert.matches("^catalog: the service answers again, after %d+ failed requests?$", lines[2])
    end)
  end)
end)
