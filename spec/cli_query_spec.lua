-- Commands that find and look: batches, data sets, files.
local command = require "support.command"
local commands = require "catalog.cli.options"
local core = require "catalog.core"
local program = require "support.program"
local service = require "support.service"
local serving = require "support.serving"
local shell = require "support.shell"

local run <const> = command.run

local DATASETS <const> = {
  d1 = { name = "Loyalty members", tags = { unifiedProfile = { "enabled:true", "isUpsert:true" } } },
  d2 = { name = "Loyalty events", tags = {} }, d3 = { name = "other" },
}

-- A batch that was ingested, or, where its text is none, failed. Gives its id.
local function ingest(client, dataset, text)
  local batch = assert(client:create_batch { dataset = dataset, format = "json" })
  assert(batch:upload("a.json", { data = text }))
  assert(batch:complete())
  batch:wait()
  while core.system.now() <= batch.created do end -- the next one is newer
  return batch.id
end

-- Calls `body(server, client, good, bad, directory)`.
local function with_batches(body)
  shell.with_directory(function(directory)
    service.run({ datasets = DATASETS }, function(server, client)
      body(server, client, ingest(client, "d1", '{"n":1}\n'), ingest(client, "d2", "no json\n"), directory)
    end)
  end)
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

-- What a program prints on a terminal of a width.
local function on_terminal(server, words, width)
  local inner = ("stty cols %d; %s %s %s"):format(width, command.environment(server), command.PROGRAM, words)
  return (shell.run(("script -qec '%s' /dev/null"):format(inner:gsub("'", "'\\''"))):gsub("\r", ""))
end

describe("the program", function()
  it("lists batches: those of a day, those that failed, those of a dataset", function()
    with_batches(function(server, _, good, bad)
      local text, status = run(server, "batches 2>/dev/null")
      assert.equal(0, status)
      local lines = lines_of(text)
      assert.equal("batch                       created                  status     records    failed   dataset", lines[1])
      assert.matches("^" .. bad .. "  %d+%-%d+%-%d+ %d+:%d+:%d+ UTC  failed     1          1        d2$", lines[2])
      assert.matches("^" .. good .. "  .* success    1          0        d1$", lines[3])
      assert.matches("the last 24 hours; --since shows others", (run(server, "batches")), 1, true)
      assert.same({ bad .. "\n", 0 }, { run(server, "batches -q --failed --since 1h") })
      assert.same({ good .. "\n", 0 }, { run(server, "batches -q --dataset d1") })
      assert.same({ good .. "\n", 0 }, { run(server, "batches -q --dataset-name 'Loyalty members'") })
      assert.same({ bad .. "\n" .. good .. "\n", 0 }, { run(server, "batches -q --status success,failed") })
      assert.same({ bad .. "\n", 0 }, { run(server, "batches -q --limit 1") })
      assert.same({ "", 0 }, { run(server, "batches -q --before 2020-01-01") })
      local json = lines_of((run(server, "batches --json --failed --since 1h")))
      assert.equal(bad, core.json.decode(json[1]).id)
    end)
  end)

  it("says what cannot be asked for", function()
    local server = { url = "http://127.0.0.1:1" }
    for words, said in pairs {
      ["batches --since yesterday"] = "--since: 'yesterday', which is no moment: write 24h",
      ["batches --failed --status success"] = "--failed and --status say two things",
      ["batches --dataset a --dataset-name b"] = "--dataset and --dataset-name say the same; give one of them",
      ["create"] = "missing option '--dataset'; catalog create --help",
      ["preview"] = "the id of a batch is missing, or --dataset",
      ["preview b --dataset d"] = "a batch and a dataset are two things",
      ["preview b --rows 10"] = "of a batch the service shows up to 9 rows",
      ["download"] = "missing argument 'ID'",
    } do
      local text, status = run(server, words)
      assert.equal(2, status, text)
      assert.matches(said, text, 1, true)
    end
  end)

  it("fits its tables into the terminal", function()
    if shell.run "command -v script" == "" then return pending "there is no script(1)" end
    with_batches(function(server)
      for _, line in ipairs(lines_of(on_terminal(server, "batches --since 1h", 60))) do
        assert.is_true(#line <= 60, line)
      end
      local lines = lines_of(on_terminal(server, "datasets 'Loyalty m*'", 70))
      assert.matches("^d1 .* upsert   Loyalty%.%.%.$", lines[2])
    end)
  end)

  it("lists datasets, all of them or those of a name", function()
    with_batches(function(server)
      assert.same({ 4, 0 }, { #lines_of((run(server, "datasets"))), select(2, run(server, "datasets")) })
      local lines = lines_of((run(server, "datasets 'Loyalty*' --json")))
      assert.equal(2, #lines)
      assert.matches("^Loyalty", core.json.decode(lines[1]).name)
      assert.same({ "d3\n", 0 }, { run(server, "datasets -q other") })
      assert.same({ "catalog: there are none\n", 0 }, { run(server, "datasets nobody") })
      assert.same({ "", 0 }, { run(server, "datasets -q nobody") })
      assert.same({ "", 0 }, { run(server, "datasets --json nobody") })
    end)
  end)

  it("completes the names that it has listed", function()
    with_batches(function(server, _, _, _, directory)
      local cache = "XDG_CACHE_HOME=" .. directory .. "/cache"
      assert.equal(0, select(2, run(server, "datasets -q", cache)))
      assert.equal("Loyalty events\nLoyalty members\nother\n", (shell.run("sort " .. directory .. "/cache/catalog/datasets")))
      assert.equal(0, select(2, run(server, "datasets -q other", cache))) -- which are not all
      local function offered(word)
        return (shell.run(([[%s bash -c 'source <(%s completion bash)
          compopt() { :; }
          COMP_LINE="catalog create --dataset-name %s"; COMP_POINT=${#COMP_LINE}
          COMP_WORDS=(catalog create --dataset-name "%s"); COMP_CWORD=3; _catalog; echo "${COMPREPLY[*]}"']]):format(cache,
          command.PROGRAM, word, word)))
      end
      assert.equal("other\n", offered "o")
      assert.equal("Loyalty\\ members\n", offered "Loyalty\\\\ m")
      cache = "XDG_CACHE_HOME=" .. directory .. "/nobody"
      assert.equal("\n", offered "o")
    end)
  end)

  it("takes a dataset by its name with each command that takes its id", function()
    for _, one in ipairs(commands.COMMANDS) do
      local known = {}
      for _, option in ipairs(one.options) do known[option.name] = option end
      if known.dataset and one.name ~= "emulator" then
        assert.equal("datasets", known["dataset-name"] and known["dataset-name"].completes, one.name)
      end
    end
  end)

  it("takes a dataset by its name, where it takes its id", function()
    with_batches(function(server, client, _, _, directory)
      shell.write(directory .. "/a.json", "{}\n")
      local function dataset_of(id) return assert(client:batch(id):get()).relatedObjects[1].id end
      local id = run(server, "create -q --dataset-name 'Loyalty events'"):gsub("\n", "")
      assert.equal("d2", dataset_of(id))
      id = run(server, ("ingest -q --dataset-name other %s/a.json"):format(directory)):gsub("\n", "")
      assert.equal("d3", dataset_of(id))
      local text, status = run(server, "create --dataset-name nobody")
      assert.equal(1, status)
      assert.matches('there is no data set of the name "nobody" in the sandbox prod', text, 1, true)
      local spool = directory .. "/spool"
      text, status = run(server, ("sink -q --dataset-name other --spool %s --wait %s/a.json"):format(spool, directory))
      assert.equal(0, status, text)
      assert.equal(1, #lines_of((run(server, "batches -q --dataset d3 --since 1h --limit 1"))))
      local serve <close> = serving.start(directory, "--dataset-name 'Loyalty events'=events --dataset d3=other",
        { url = server.url })
      assert.matches("takes records at", serve.said)
      assert.equal(200, (serve:post('{"n":1}\n', nil, "/events")))
      local words = "serve --spool x --listen 127.0.0.1:0 --dataset-name other --dataset d1=a"
      assert.matches("each has a name: --dataset-name other=NAME", (run(server, words)), 1, true)
    end)
  end)

  it("lists the files of a batch, and gets them", function()
    with_batches(function(server, _, good, bad, directory)
      assert.same({ "bytes           name\n8               a.json\n", 0 }, { run(server, "files " .. good) })
      assert.same({ "a.json\n", 0 }, { run(server, "files -q --failed " .. bad) })
      local to = directory .. "/out"
      local words = ("download %s --to %s"):format(good, to)
      assert.same({ ("1/1 file, 8 B\n%s/a.json: 8 B\n"):format(to), 0 }, { run(server, words) })
      assert.equal('{"n":1}\n', shell.read(to .. "/a.json"))
      local text, status = run(server, words)
      assert.same({ ("catalog: %s/a.json is there already; --overwrite replaces it [data]\n"):format(to), 1 }, { text, status })
      assert.same({ "", 0 }, { run(server, words .. " --overwrite -q --parallel 2") })
      text = run(server, words .. " --overwrite --json")
      assert.same({ name = "a.json", bytes = 8, path = to .. "/a.json" }, core.json.decode(text))
    end)
  end)

  it("sends rows again that failed, mended by a script", function()
    with_batches(function(server, _, _, _, directory)
      shell.write(directory .. "/rows.json", '{"n":1}\nn=2\nn=3\n')
      local words = ("ingest -q --dataset d3 --format json --error-diagnostics --partial-ingestion 90 %s/rows.json"):format(
        directory)
      local id, status = run(server, words .. " --allow-failed 2")
      assert.equal(0, status)
      id = id:gsub("\n", "")
      local rows = lines_of((run(server, "errors --rows " .. id)))
      assert.equal(2, #rows)
      assert.equal("n=2", core.json.decode(rows[1])._corrupt_record)
      shell.write(directory .. "/mend.lua", [[
        return function(row) return { n = tonumber(row._corrupt_record:match "%d") } end]])
      words = ("resend %s --transform %s/mend.lua"):format(id, directory)
      local text
      text, status = run(server, words)
      assert.equal(0, status, text)
      assert.matches("^catalog: 2 rows failed; 2 sent again, 0 dropped\n", text)
      assert.matches("status           success\n", text, 1, true)
      text, status = run(server, words)
      assert.equal(1, status)
      assert.matches("were sent again already, in the batch %w+; %-%-again sends them once more", text)
      assert.equal(0, select(2, run(server, words .. " --again --no-wait -q")))
      for code, said in pairs {
        ["error 'a mistake'"] = "mend.lua failed at the row 1:", ["return 5"] = "mend.lua returns no function",
        ["="] = "unexpected symbol",
        ["return function() return nil end"] = "none of the 2 rows",
      } do
        shell.write(directory .. "/mend.lua", code:find "^error" and ("return function() %s end"):format(code) or code)
        text, status = run(server, words .. " --again")
        assert.equal(1, status, text)
        assert.matches(said, text, 1, true)
      end
    end)
  end)

  it("shows what did not get in, sends it again mended, and gets all of it", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/schema.json", [[{"$id":"https://ns/1","type":"object","required":["name"],
        "properties":{"name":{"type":"string"},"age":{"type":"integer"}}}]])
      local emulator <close> = program.start("", ("lua/catalog/cli/main.lua emulator --port 0 --schema %s/schema.json "
        .. "--dataset 'd1=Loyalty members' --dataset d2=other"):format(directory))
      local server = { url = emulator:line():match "http://%S+" }
      local wanted, rows = {}, {}
      for i = 1, 20 do
        wanted[i] = ('{"age":%d,"name":"n%d"}\n'):format(i, i)
        rows[i] = i == 3 and '{"age":"3","name":"n3"}\n' or i == 9 and "n9;9\n" or i == 14 and '{"age":14}\n' or wanted[i]
      end
      shell.write(directory .. "/rows.json", table.concat(rows))
      assert.same({ "d1\n", 0 }, { run(server, "datasets -q 'Loyalty*'") })
      local text, status = run(server, ("check --dataset-name 'Loyalty members' %s/rows.json"):format(directory))
      assert.equal(3, status)
      assert.matches("rows.json:3: age: it is a text, and not a whole number\n", text, 1, true)
      assert.matches("3 of 20 records do not fit", text, 1, true)
      local words = ("ingest --dataset-name 'Loyalty members' --error-diagnostics --partial-ingestion 20 %s/rows.json"):format(
        directory)
      text, status = run(server, words)
      assert.equal(3, status)
      assert.matches("17 of 20 records are in", text, 1, true)
      local id = run(server, "batches -q --since 1h --limit 1"):gsub("\n", "")
      assert.equal(3, #lines_of((run(server, "errors --rows " .. id))))
      shell.write(directory .. "/mend.lua", [[
        return function(row)
          local n = (row._corrupt_record or row.name or row.age .. ""):match "%d+"
          return { name = "n" .. n, age = tonumber(n) }
        end]])
      text, status = run(server, ("resend %s --transform %s/mend.lua"):format(id, directory))
      assert.equal(0, status, text)
      for batch in run(server, "batches -q --dataset-name 'Loyalty members'"):gmatch "%w+" do
        assert.equal(0, select(2, run(server, ("download %s -q --to %s/out/%s"):format(batch, directory, batch))))
      end
      local got = lines_of((shell.run(("cat %s/out/*/*"):format(directory))))
      for i, line in ipairs(got) do
        local row = core.json.decode(line)
        got[i] = ('{"age":%d,"name":"%s"}\n'):format(row.age, row.name)
      end
      table.sort(got)
      table.sort(wanted)
      assert.same(wanted, got)
    end)
  end)

  it("shows the first records of a batch, and of a dataset", function()
    with_batches(function(server, client)
      local batch = assert(client:create_batch { dataset = "d3", format = "json" })
      assert(batch:upload("a", { data = ('{"n":5}\n'):rep(7) }))
      assert.same({ ('{"n":"5"}\n'):rep(3), 0 }, { run(server, "preview --rows 3 " .. batch.id) })
      assert.same({ '{"n":1}\n', 0 }, { run(server, "preview --dataset d1") })
      assert.same({ '{"n":1}\n', 0 }, { run(server, "preview --dataset-name 'Loyalty members'") })
    end)
  end)
end)
