-- What examples/serve has for systemd and for Prometheus. The hosts' configurations are in serve_hosts_spec.
local metrics = require "catalog.serve.metrics"
local program = require "support.program"
local shell = require "support.shell"

local SERVICE <const> = "examples/serve/catalog-serve.service"

describe("the unit of catalog serve", function()
  it("is one that systemd takes", function()
    if shell.run "command -v systemd-analyze" == "" then return pending "systemd-analyze is not installed" end
    shell.with_directory(function(directory)
      local unit = shell.read(SERVICE):gsub("/usr/bin/catalog", "/bin/true"):gsub("Documentation=[^\n]*\n", "")
      shell.write(directory .. "/catalog-serve.service", unit)
      shell.write(directory .. "/catalog-serve.socket", shell.read "examples/serve/catalog-serve.socket")
      local output, status = shell.run(("systemd-analyze verify %s/catalog-serve.service %s/catalog-serve.socket"):format(
        directory, directory))
      assert.same({ "", 0 }, { output, status })
    end)
  end)

  it("has a command that runs", function()
    shell.with_directory(function(directory)
      local words = shell.read(SERVICE):match "\nExecStart=/usr/bin/catalog ([^\n]+)\n"
      words = words:gsub("127%.0%.0%.1:8087", "127.0.0.1:0"):gsub("/var/lib/catalog", directory)
      local started <close> = program.start("http://127.0.0.1:1", "lua/catalog/cli/main.lua " .. words)
      assert.matches("the access token is fixed", started:line())
      assert.matches("^catalog: takes records at http://127%.0%.0%.1:%d+$", started:line())
      started:signal "TERM"
      assert.same({ "", 0 }, { started:finish() })
    end)
  end)
end)

describe("the rules for alerts", function()
  it("are about metrics that there are", function()
    local numbers = { batches = { failed = 1 } }
    local there = metrics.text({
      { dataset = "d", numbers = numbers }, { dataset = "d", kind = "drain", group = "g", numbers = numbers },
    }, { [200] = 1 })
    local count = 0
    for expression in shell.read "examples/serve/alerts.yml":gmatch "\n *expr: ([^\n]+)" do
      for name in expression:gmatch "catalog_[%w_]+" do
        count = count + 1
        assert(there:find("\n" .. name .. "{", 1, true), name)
      end
    end
    assert.is_true(count >= 12)
  end)

  it("can be read", function()
    local checked, status = shell.run("python3 -c 'import sys, yaml; [yaml.safe_load(open(p)) for p in sys.argv[1:]]'"
      .. " examples/serve/alerts.yml examples/serve/vector.yaml")
    if checked:find "No module named 'yaml'" then return pending "python3-yaml is not installed" end
    assert.equal(0, status, checked)
  end)
end)
