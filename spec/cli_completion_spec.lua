-- What bash and zsh make of a line at Tab, each on a terminal.
local shell = require "support.shell"

local PROGRAM <const> = shell.LUA .. " lua/catalog/cli/main.lua "

-- Lines, and the words each comes to. There are the files `my file.json` and `a:b.json`, and a directory `my dir`.
local LINES <const> = {
  -- commands, behind options and their values too
  { "comple", "[complet]" }, { "--json inge", "[--json][ingest]" }, { "-q statu", "[-q][status]" },
  { "--sandbox wait crea", "[--sandbox][wait][create]" }, { "--proxy http://a:1 inge", "[--proxy][http://a:1][ingest]" },
  { "help upl", "[help][upload]" }, { "nothing-like-this", "[nothing-like-this]" },
  -- options: those of the command, and those of all
  { "ingest --forma", "[ingest][--format]" }, { "ingest - --rel", "[ingest][-][--relative]" },
  { "--proxy http://a:1 ingest --part-s", "[--proxy][http://a:1][ingest][--part-size]" },
  { "status --verb", "[status][--verbose]" }, { "upload x --na", "[upload][x][--name]" }, { "--verb", "[--verbose]" },
  { "status --spoo", "[status][--spoo]" },
  -- values
  { "ingest --format pa", "[ingest][--format][parquet]" }, { "ingest --format=pa", "[ingest][--format=parquet]" },
  { "completion z", "[completion][zsh]" }, { "spool exp", "[spool][export]" }, { "ingest --name my", "[ingest][--name][my]" },
  -- files and directories
  { "ingest my\\ f", "[ingest][my file.json]" }, { 'ingest "my f', "[ingest][my file.json]" },
  { "ingest a\\:", "[ingest][a:b.json]" }, { "upload a\\:", "[upload][a:]" }, { "upload x a\\:", "[upload][x][a:b.json]" },
  { "ingest --journal my\\ f", "[ingest][--journal][my file.json]" }, { "ingest --ca-file=a\\:", "[ingest][--ca-file=a:b.json]" },
  { "ingest --dir my", "[ingest][--dir][my dir]" }, { "spool status my", "[spool][status][my dir]" },
  -- names of datasets, of the last listing
  { "create --dataset-name Loy", "[create][--dataset-name][Loyalty members]" },
  { "sink --dataset-name oth", "[sink][--dataset-name][other]" }, { "datasets Loy", "[datasets][Loyalty members]" },
}

-- Has a shell complete the lines, once it has read what `setup` says, in which SCRIPT is the program's.
local function assert_completes(name, setup)
  if shell.run("command -v python3 " .. name) == "" then pending(name .. " is not there") end
  local script = shell.run "pwd":gsub("\n", "") .. "/spec/scripts/complete.py"
  shell.with_directory(function(directory)
    assert.equal(0, select(2, shell.run(("%s completion %s >%s/_catalog"):format(PROGRAM, name, directory))))
    assert.same({ "", 0 }, { shell.run(("%s -n %s/_catalog"):format(name, directory)) })
    shell.run(("mkdir -p %s/cache/catalog"):format(directory))
    shell.write(directory .. "/cache/catalog/datasets", "Loyalty members\nother\n")
    setup = "export XDG_CACHE_HOME=FOLDER/cache; " .. setup
    shell.write(directory .. "/setup", (setup:gsub("SCRIPT", directory .. "/_catalog"):gsub("FOLDER", directory)))
    local lines = {}
    for i, case in ipairs(LINES) do lines[i] = "catalog " .. case[1] .. "\n" end
    shell.write(directory .. "/lines", table.concat(lines))
    shell.run(("cd %s && mkdir work work/'my dir' && touch work/'my file.json' work/a:b.json"):format(directory))
    local output = shell.run(("cd %s/work && timeout 60 python3 %s %s ../setup <../lines"):format(directory, script, name))
    local i = 0
    for words in output:gmatch "[^\n]+" do
      i = i + 1
      assert.equal((LINES[i] or {})[2], (words:gsub("/%]", "]")), name .. ": " .. (LINES[i] or {})[1])
    end
    assert.equal(#LINES, i, output)
  end)
end

describe("the program's completion", function()
  it("completes in bash", function() assert_completes("bash", "source SCRIPT") end)

  it("completes in zsh, read as a script or found as a function", function()
    assert_completes("zsh", "autoload -U compinit; compinit -D -u; . SCRIPT")
    assert_completes("zsh", "fpath=(FOLDER $fpath); autoload -U compinit; compinit -D -u")
  end)

  it("offers all that begins so, in bash", function()
    local function offered(line)
      local words, count = line:gsub("%S+", "%0")
      return (shell.run(([[bash -c 'source <(%scompletion bash); compopt() { :; }; COMP_LINE="%s"; COMP_POINT=${#COMP_LINE}
        COMP_WORDS=(%s); COMP_CWORD=%d; _catalog; printf "%%s\n" "${COMPREPLY[@]}" | sort | tr "\n" " "']]):format(PROGRAM, line,
        words, count - 1)):gsub(" $", ""))
    end
    assert.equal("complete completion", offered "catalog comp")
    assert.equal("--part-size --part-threshold --partial-ingestion", offered "catalog ingest --part")
    assert.equal("--version", offered "catalog --vers")
  end)
end)
