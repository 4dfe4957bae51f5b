--- The server of the bench: nginx with one worker, on a free port of the loopback, in a directory of its own.
-- It answers every request with the same 201. It is a program on its own, so its CPU time is not ours.
local bare = require "bench.bare"

local nginx = {}

--- The answer to a creation, with all fields that the service sends.
nginx.answer = table.concat {
  '{"id":"5d01230fc78a4e4f8c0c6b387b4b8d1c","imsOrg":"0123456789ABCDEF01234567@AdobeOrg",',
  '"created":1552694873602,"updated":1552694873602,"status":"loading","version":"1.0.0",',
  '"createdUser":"0123456789ABCDEF01234567@techacct.adobe.com",',
  '"updatedUser":"0123456789ABCDEF01234567@techacct.adobe.com","createdClient":"0123456789abcdef0123456789abcdef",',
  '"externalId":"5d01230fc78a4e4f8c0c6b387b4b8d1c","inputFormat":{"format":"parquet"},',
  '"relatedObjects":[{"type":"dataSet","id":"5c8c3c555033b814b69f947f"}],',
  '"tags":{"acp_producer":["0123456789abcdef0123456789abcdef"],',
  '"acp_stagePath":["acp_foundation_push/stage/5d01230fc78a4e4f8c0c6b387b4b8d1c"],',
  '"use_plan_b_batch_status":["true"]}}',
}

local head = [[
daemon off;
worker_processes 1;
pid %s/pid;
error_log %s/error.log warn;
events { worker_connections 1024; }
http {
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_max_body_size 0;
  client_body_temp_path %s/body;
  proxy_temp_path %s/proxy;
  fastcgi_temp_path %s/fastcgi;
  uwsgi_temp_path %s/uwsgi;
  scgi_temp_path %s/scgi;
]]

local origin = [[
  server {
    listen 127.0.0.1:%d;
    %s
    location / {
      add_header x-request-id $request_id always;
      return 201 '%s';
    }
    location /data/foundation/catalog/batches/ {
      return 200 '{"5d01230fc78a4e4f8c0c6b387b4b8d1c":{"status":"success","metrics":{"failedRecordCount":0}}}';
    }
  }
]]

local function configuration(directory, port, locations)
  return (head:gsub("%%s", directory)) .. origin:format(port, locations, nginx.answer) .. "}\n"
end

local function output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  pipe:close()
  return (text:gsub("%s+$", ""))
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function read(path)
  local file = io.open(path)
  if not file then
    return ""
  end
  local text = file:read("a")
  file:close()
  return text
end

local methods = {}

--- Ends nginx and removes its directory.
function methods:stop()
  if self.pid then
    bare.stop(self.pid)
    self.pid = nil
    os.execute("rm -rf '" .. self.directory .. "'")
  end
end

local server = { __index = methods, __close = methods.stop, __gc = methods.stop }

--- Starts nginx.
-- @tparam ?string locations what it answers besides
-- @treturn table with `url` and `stop`; it can be the value of a `<close>` variable
function nginx.start(locations)
  local path = os.getenv("NGINX") or "/usr/sbin/nginx"
  local version = output("'" .. path .. "' -v 2>&1"):match("nginx/(%S+)")
  assert(version, "no nginx at " .. path .. ": install nginx-light, or name it in NGINX")
  local directory = output("mktemp -d")
  assert(#directory > 1, "no temporary directory")
  local port = bare.ports(1)[1]
  local self = { directory = directory, url = "http://127.0.0.1:" .. port, version = version }
  write(directory .. "/nginx.conf", configuration(directory, port, locations or ""))
  self.pid = bare.spawn(path, "-e", directory .. "/error.log", "-p", directory, "-c", directory .. "/nginx.conf")
  setmetatable(self, server)
  if not bare.await_port(port, 5) then
    local why = read(directory .. "/error.log")
    self:stop()
    error("nginx does not start: " .. why)
  end
  return self
end

return nginx
