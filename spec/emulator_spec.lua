-- The emulator as a whole: its handle, and in the foreground.
local core = require "catalog.core"
local emulator = require "catalog.emulator"
local exchange = require "support.exchange"
local in_flight = require "support.in_flight"
local shell = require "support.shell"
local ulid = require "catalog.emulator.ulid"

local CATALOG <const> = "/data/foundation/catalog/batches"

describe("the emulator's handle", function()
  it("knows its URL and stops, more than once, and frees its port", function()
    local server = assert(emulator.start {})
    assert.equal("http://127.0.0.1:" .. server.port, server.url)
    assert.equal("catalog.emulator (" .. server.url .. ")", tostring(server))
    server:stop()
    server:stop()
    local again <close> = assert(emulator.start { port = server.port })
    assert.equal(server.port, again.port)
  end)

  it("says when a port is taken or is none", function()
    local server <close> = assert(emulator.start {})
    local other, err = emulator.start { port = server.port }
    assert.is_nil(other)
    assert.equal("config", err.kind)
    assert.equal(("cannot listen on port %d: Address already in use"):format(server.port), err.message)
    assert.equal("cannot listen on port 70000: no such port", select(2, emulator.start { port = 70000 }).message)
  end)

  it("says when a certificate cannot be used", function()
    assert.equal("cert and key go together", select(2, emulator.start { cert = "-----BEGIN" }).message)
    assert.matches("cert cannot be read: /nonexistent", select(2, emulator.start { cert = "/nonexistent", key = "/n" }).message)
    assert.matches("are the certificate and the key in PEM",
      select(2, emulator.start { cert = "-----BEGIN", key = "-----BEGIN" }).message)
    assert.error_matches(function() emulator.start { latncy_ms = 1 } end, "did you mean 'latency_ms'?", 1, true)
  end)

  it("is stopped when it is collected, and while answers are delayed", function()
    local server = assert(emulator.start { latency_ms = 60000 })
    local port = server.port
    exchange.raw(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0.05)
    server = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    local again <close> = assert(emulator.start { port = port })
    assert.equal(port, again.port)
  end)

  it("delays answers without holding up others", function()
    local service = require "support.service"
    local server <close> = assert(emulator.start { latency_ms = 100 })
    local client = service.client(server.url)
    local held = {}
    for i = 1, 20 do held[i] = in_flight(client, { method = "GET", path = CATALOG }) end
    while not core.engine.get():next_completed() do core.engine.get():step(5) end
    -- request ids begin with the time at which a request was dealt with: all were before the first answer came
    local first_answer = ulid(core.system.now()):sub(1, 10)
    for _, transfer in ipairs(held) do
      while not transfer:done() do core.engine.get():step(5) end
      assert.equal(200, (transfer:reply()))
      assert.is_true(transfer:header("x-request-id"):sub(1, 10) <= first_answer)
    end
  end)
end)

describe("the emulator in the foreground", function()
  -- Runs `catalog emulator` with the words, has the shell do something before and more once it listens, and ends it by
  -- the signal. Gives what the shell printed, and what was left in the temporary folder.
  local function in_foreground(words, signal, more, before)
    return shell.with_directory(function(directory)
      local output = shell.run(([[
        mkdir %s/tmp; %s
        env %s TMPDIR=%s/tmp %s lua/catalog/cli/main.lua emulator --port 0 %s >%s/out &
        while kill -0 $! && ! grep -qs AEP_ORG %s/out; do sleep 0.05; done
        out=%s/out; url=$(sed -n 's/.*listens on \([^ ]*\).*/\1/p' $out)
        %s
        kill -%s $!; wait $!; echo $?]]):format(directory, before or ":",
        before and "" or "--default-signal=HUP", -- which may be ignored where the specs run
        directory, shell.LUA, words, directory, directory,
        directory, more, signal))
      return output, shell.run("ls " .. directory .. "/tmp")
    end)
  end

  it("leaves nothing in the temporary folder, whichever signal ends it", function()
    for _, signal in ipairs { "INT", "TERM", "HUP" } do
      local output, left = in_foreground("", signal, "")
      assert.same({ "0\n", "" }, { output, left }, signal)
    end
  end)

  it("goes on after a hang-up that was ignored before, as nohup does", function()
    local output = in_foreground("", "TERM", [[kill -HUP $!; sleep 0.2
      curl -sS --noproxy '*' -o /dev/null -w '%{http_code} ' $url]], "trap '' HUP")
    assert.equal("403 0\n", output)
  end)

  it("knows the data sets that are named on its command line, and others not", function()
    local output = in_foreground("--dataset a --dataset 'b=A name'", "TERM", [[for id in a b c; do
      curl -sS --noproxy '*' -o /dev/null -w '%{http_code} ' -H 'Authorization: Bearer t' -H 'x-api-key: k' \
        -H 'x-gw-ims-org-id: o' -d "{\"datasetId\":\"$id\"}" $url/data/foundation/import/batches
      done
      grep ': A name' $out >/dev/null && echo named]])
    assert.equal("201 201 400 named\n0\n", output)
    local none, refused = shell.run(shell.LUA .. " lua/catalog/cli/main.lua emulator --schema README.md")
    assert.equal(1, refused)
    assert.matches("README.md: it is no JSON schema with an $id", none, 1, true)
    local usage, wrong = shell.run(shell.LUA .. " lua/catalog/cli/main.lua emulator --dataset =name")
    assert.equal(2, wrong)
    assert.matches("'=name' is neither ID nor ID=NAME", usage, 1, true)
  end)

  it("runs until a signal, and says how to use it", function()
    local output = in_foreground("", "INT", "cat $out")
    assert.matches("The emulator listens on http://127.0.0.1:%d+ until Ctrl%-C", output)
    assert.matches("export AEP_BASE_URL=http://127.0.0.1:%d+ AEP_IMS_URL=", output)
    assert.matches("\n0\n$", output)
    assert.is_nil(output:find "traceback")
    local usage, wrong = shell.run(shell.LUA .. " lua/catalog/cli/main.lua emulator --prot 1")
    assert.equal(2, wrong)
    assert.matches("Did you mean '--port'?", usage, 1, true)
  end)
end)
