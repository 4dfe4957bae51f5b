-- What is typed wrongly, and what helps: nothing of it needs a service.
local catalog = require "catalog"
local core = require "catalog.core"
local shell = require "support.shell"

local PROGRAM <const> = shell.LUA .. " lua/catalog/cli/main.lua "

-- Runs the program where no service is; what it prints as its result is told from what it says.
local function run(words, before, url)
  local directory = shell.run("mktemp -d"):gsub("%s+$", "")
  local said, status = shell.run(("AEP_BASE_URL=%s %s AEP_ORG=o AEP_API_KEY=k AEP_ACCESS_TOKEN=t %s%s >%s/out")
    :format(url or "http://127.0.0.1:1", before or "", PROGRAM, words, directory))
  local printed = shell.read(directory .. "/out")
  shell.run("rm -rf " .. directory)
  return status, printed, said
end

local function assert_usage(words, text)
  local status, printed, said = run(words)
  assert.equal(2, status, words .. ": " .. said)
  assert.equal("", printed, words)
  assert.matches("catalog: " .. text, said, 1, true)
  assert.matches("[;?] catalog [%a ]*%-%-help shows how\n$", said)
  assert.equal(1, select(2, said:gsub("\n", "")), said)
end

describe("the program's usage", function()
  it("is an error where options do not fit each other, before anything is sent", function()
    for words, text in pairs {
      ["ingest --dataset d"] = "there is nothing to send: give files, - or --dir",
      ["ingest --dataset d --dir /tmp a.json"] = "give files or --dir, not both",
      ["ingest --dataset d --pattern '*.json' a.json"] = "--pattern is for --dir",
      ["ingest --dataset d --recursive a.json"] = "--recursive is for --dir",
      ["ingest --dataset d --name n a.json b.json"] = "--name is for one file, and there are 2",
      ["ingest --dataset d --name n --dir /tmp"] = "--name is for one file, and not for --dir",
      ["ingest --dataset d --format csv --multiline a.csv"] = "--multiline is for --format json, and not for csv",
      ["create --dataset d --format parquet --multiline"] = "--multiline is for --format json, and not for parquet",
      ["ingest --dataset d - - </dev/null"] = "standard input (-) can be read once",
      ["ingest --dataset d --journal j - </dev/null"] = "--journal cannot go on with standard input",
      ["ingest --dataset d --adopt --external-id b - </dev/null"] = "--adopt cannot go on with standard input",
      ["ingest --dataset d --shard 0/2 --external-id b a.json"] = "--shard is for --dir",
      ["ingest --dataset d --shard 0/2 --dir /tmp"] = "--shard needs --external-id to find the batch by",
      ["ingest --dataset d --adopt --external-id b --journal j a.json"] = "give --journal, which is for one machine, or",
      ["ingest --dataset d --shard 0/2 --external-id b --dir /tmp --split"] = "--split does not go with --shard",
      ["ingest --dataset d --split - </dev/null"] = "--split needs files whose size is known",
      ["ingest --dataset d ''"] = "FILE: it is empty",
      ["serve --spool s --listen fd"] = "--dataset is missing",
      ["serve --spool s --listen fd --dataset a --dataset b=c"] =
        "where there are several datasets each has a name: --dataset a=NAME",
      ["serve --spool s --listen fd --dataset a=c --dataset b=c"] = "two datasets have the name 'c'",
      ["serve --spool s --listen fd --dataset a=ready"] = "/ready has a meaning of its own: give the dataset another name",
      ["serve --spool s --listen fd --dataset a=../b"] = "the name '../b' has more than letters, digits, - . and _",
    } do assert_usage(words, text) end
  end)

  it("is an error where an option is given twice, or is none, or a value is missing or empty", function()
    for words, text in pairs {
      ["create --dataset d --dataset e"] = "option '--dataset' is given twice;",
      ["create --dataset d --multiline --multiline"] = "option '--multiline' is given twice;",
      ["ingest -d d"] = "unknown option '-d';",
      ["status id --timeout 5"] = "unknown option '--timeout'",
      ["status id other"] = "too many arguments",
      ["creat --dataset d"] = "unknown command 'creat'. Did you mean 'create'?",
      ["wait id --timeout"] = "option '--timeout' requires an argument",
      ["status ''"] = "ID: it is empty",
      ["upload id"] = "missing argument 'FILE'",
      ["status"] = "missing argument 'ID'",
      ["completion fish"] = "argument 'SHELL' must be one of 'bash', 'zsh'",
      ["help nothing"] = "unknown command 'nothing'",
      ["nothing --help"] = "unknown command 'nothing'",
    } do assert_usage(words, text) end
  end)

  it("names the option whose value is none", function()
    for words, text in pairs {
      ["wait id --timeout abc"] = "--timeout: 'abc' is no time, such as 90s, 5m or 24h",
      ["ingest --dataset d --dir / --external-id b --shard 2/2"] = "--shard: the shard is 2/2; it is such as 3/16",
      ["wait id --timeout 5x"] = "--timeout: '5x' is no time",
      ["wait id --timeout 0"] = "--timeout: '0' is not more than 0",
      ["wait id --timeout=-1"] = "--timeout: '-1' is no time",
      ["wait id --allow-failed some"] = "--allow-failed: 'some' is no whole number",
      ["upload id f --part-size abc"] = "--part-size: 'abc' is no size, such as 16MiB",
      ["upload id f --part-size 16XB"] = "--part-size: '16XB' is no size",
      ["upload id f --part-size 0"] = "--part-size: '0' is not 1 to 512000000",
      ["upload id f --part-size 1TiB"] = "--part-size: '1TiB' is not 1 to 512000000",
      ["upload id f --parallel 0"] = "--parallel: '0' is not 1 to 1000",
      ["create --dataset d --partial-ingestion 101"] = "--partial-ingestion: '101' is no percentage, 0 to 100",
      ["status id --proxy http://u:secret@p:1"] = "--proxy: it has a password in it, which others can see there; set https_proxy",
      ["serve --listen 8087"] = "--listen: '8087' is neither ADDRESS:PORT nor unix:PATH nor fd",
      ["serve --listen 127.0.0.1:65536"] = "--listen: '127.0.0.1:65536' is neither ADDRESS:PORT nor unix:PATH nor fd",
      ["emulator --port 70000"] = "--port: '70000' is not 0 to 65535",
    } do assert_usage(words, text) end
  end)

  it("is shown by the program alone, which does nothing", function()
    local status, printed, said = run ""
    assert.equal(2, status)
    assert.equal("", printed)
    assert.equal(select(2, run "--help"), said)
  end)
end)

describe("a proxy, or a file of authorities, that is none", function()
  it("is a mistake, and is told before anything is sent or printed", function()
    local proxy <const>, file <const> = "--proxy cannot be used: its scheme is none of http,", "--ca-file cannot be read: "
    for words, text in pairs {
      ["status id --proxy foo://127.0.0.1:1"] = proxy, ["create --dataset d --proxy foo://127.0.0.1:1"] = proxy,
      ["status id --proxy 'http://a b'"] = "--proxy is not a URL such as http://127.0.0.1:3128",
      ["status id --ca-file /nonexistent"] = file .. "/nonexistent: No such file or directory",
      ["wait id --ca-file /"] = file .. "/: it is a directory",
      ["ingest --dataset d README.md --format json --ca-file README.md"] = "--ca-file has no certificate in it: README.md",
    } do assert_usage(words, text) end
  end)

  it("is an error of the configuration where it is the environment's", function()
    for before, text in pairs {
      ["SSL_CERT_FILE=/nonexistent"] = "SSL_CERT_FILE cannot be read: /nonexistent: No such file or directory [config]",
      ["SSL_CERT_FILE= SSL_CERT_DIR=/nonexistent"] = "SSL_CERT_DIR is no directory: /nonexistent; ",
      ["NO_PROXY= no_proxy= https_proxy=foo://127.0.0.1"] = "https_proxy cannot be used: its scheme is none of ",
    } do
      local status, printed, said = run("status id", before, "https://aep.invalid")
      assert.equal(1, status, said)
      assert.equal("", printed)
      assert.equal("catalog: " .. text, said:sub(1, #text + 9))
    end
  end)
end)

describe("the program's values", function()
  local values = require "catalog.cli.values"

  it("have units", function()
    for text, bytes in pairs {
      ["1000"] = 1000, ["16MiB"] = 16777216, ["16M"] = 16777216, ["1.5K"] = 1536, ["2kB"] = 2000, ["1GB"] = 1000000000,
      ["3B"] = 3,
    } do assert.equal(bytes, values.read(text, { kind = "size" }), text) end
    for text, seconds in pairs { ["5"] = 5, ["0.5"] = 0.5, ["250ms"] = 0.25, ["90s"] = 90, ["5m"] = 300, ["24h"] = 86400 } do
      assert.equal(seconds, values.read(text, { kind = "time" }), text)
    end
    assert.equal(5, values.read("5%", { kind = "percent" }))
  end)
end)

describe("the program's help", function()
  it("is there without argparse, and so is the version", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/argparse.lua", "error 'not here'")
      local before = ("LUA_PATH='%s/?.lua;'\"$LUA_PATH\""):format(directory)
      local status, _, said = run("status id", before)
      local printed
      assert.equal(1, status)
      assert.matches("the command line needs argparse", said, 1, true)
      for _, words in ipairs { "--help", "-h", "help" } do
        status, printed = run(words, before)
        assert.equal(0, status)
        assert.matches("^Usage: catalog %[OPTIONS%] COMMAND", printed)
        assert.matches("\n75 the same command may succeed later", printed, 1, true)
      end
      for _, words in ipairs { "ingest --help", "-h ingest", "help ingest", "ingest --dataset d -h" } do
        status, printed = run(words, before)
        assert.equal(0, status)
        assert.matches("^Usage: catalog ingest %-%-dataset ID %[OPTIONS%] %[FILE...%]\n", printed)
        assert.matches("\n  --part-size SIZE          The size of the parts of large files, such as 16MiB;\n", printed, 1, true)
      end
      status, printed = run("--version", before)
      assert.same({ 0, catalog._VERSION .. "\n" }, { status, printed })
    end)
  end)

  it("has lines that fit a terminal", function()
    for _, command in ipairs { "", "ingest", "create", "upload", "serve", "emulator" } do
      for line in select(2, run("help " .. command)):gmatch "[^\n]+" do assert.is_true(#line <= 80, line) end
    end
  end)

  it("is a man page, which roff reads without complaint", function()
    local page = shell.lua [[io.write(require("catalog.cli.man").page "1.2.3")]]
    for _, text in ipairs {
      '.TH CATALOG 1 "" "catalog 1.2.3"', ".SH EXIT STATUS", "\\fB\\-\\-part\\-size SIZE\\fR", "AEP_ORG",
    } do assert.matches(text, page, 1, true) end
    if shell.run "command -v groff" == "" then return end
    shell.with_directory(function(directory)
      shell.write(directory .. "/catalog.1", page)
      assert.same({ "", 0 }, { shell.run(("groff -man -Tutf8 -ww %s/catalog.1 2>&1 >/dev/null"):format(directory)) })
    end)
  end)
end)

describe("the program's commands", function()
  it("have each a module of their name", function()
    assert.is_nil(core.fs.kind "lua/catalog/cli/parser.lua")
    local options = require "catalog.cli.options"
    for _, command in ipairs(options.COMMANDS) do
      if command.name ~= "help" then assert.equal("file", core.fs.kind(("lua/catalog/cli/%s.lua"):format(command.name))) end
    end
  end)
end)
