-- The emulator in the foreground: main.lua [--port PORT]
local emulator = require "catalog.emulator"

local port = 8080
for i = 1, #arg, 2 do
  port = arg[i] == "--port" and math.tointeger(tonumber(arg[i + 1]))
  if not port then
    io.stderr:write("usage: main.lua [--port PORT]\n")
    os.exit(2)
  end
end

local server, err = emulator.start { port = port }
if not server then
  io.stderr:write("emulator: ", err.message, "\n")
  os.exit(1)
end

print("The emulator listens on " .. server.url .. " until Ctrl-C. In another terminal:")
print(("  export AEP_BASE_URL=%s AEP_IMS_URL=%s"):format(server.url, server.url))
print("  export AEP_ORG=DEMO@AdobeOrg AEP_API_KEY=demo-key AEP_ACCESS_TOKEN=demo-token")
io.stdout:flush()
server:wait()
server:stop()
