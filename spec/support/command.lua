-- The program as people run it: words for a shell, what it prints, its exit code.
local service = require "support.service"
local shell = require "support.shell"

local command = {}

--- The program, as words of a command.
command.PROGRAM = shell.LUA .. " lua/catalog/cli/main.lua"

--- The variables of a client for a server, as words before a command. It keeps nothing in the user's cache.
function command.environment(server, more)
  return ("AEP_BASE_URL=%s AEP_ORG=ORG@AdobeOrg AEP_API_KEY=key AEP_ACCESS_TOKEN=s3cret-token XDG_CACHE_HOME=/proc/none %s")
    :format(server.url, more or "")
end

--- Runs the program against a server; gives what it printed (stderr too), and its exit code.
function command.run(server, words, more)
  return shell.run(command.environment(server, more) .. " " .. command.PROGRAM .. " " .. words)
end

--- Runs it as the last command of a pipe.
function command.pipe(server, first, words, more)
  return shell.run("{ " .. first .. "; } | " .. command.environment(server, more) .. " " .. command.PROGRAM .. " " .. words)
end

--- Calls `body(server, directory, client)`, with an emulator and some files: a.json, b.json, bad.json.
function command.with_files(body, options)
  shell.with_directory(function(directory)
    shell.write(directory .. "/a.json", ('{"n":1}\n'):rep(5))
    shell.write(directory .. "/b.json", ('{"n":2}\n'):rep(3))
    shell.write(directory .. "/bad.json", "not json\n")
    service.run(options or {}, function(server, client) body(server, directory, client) end)
  end)
end

return command
