-- Certificates of an authority of our own, made with openssl.
local shell = require "support.shell"

local certificates = {}

local function openssl(directory, command)
  local output, status = shell.run(("cd %s && openssl %s"):format(shell.quote(directory), command))
  if status ~= 0 then error(output, 2) end
end

--- Makes ca.pem, and NAME.pem with NAME.key signed by it: for `host`, valid for `days` days from now (negative:
-- over already).
function certificates.authority(directory)
  openssl(directory, "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=spec-ca -keyout ca.key -out ca.pem")
end

function certificates.sign(directory, name, host, days)
  local kind = host:find "^[%d.]+$" and "IP" or "DNS"
  shell.write(directory .. "/" .. name .. ".ext", ("subjectAltName=%s:%s\n"):format(kind, host))
  openssl(directory, ("req -newkey rsa:2048 -nodes -subj /CN=%s -keyout %s.key -out %s.csr"):format(host, name, name))
  openssl(directory, ("x509 -req -in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days %d -extfile %s.ext -out %s.pem")
    :format(name, days, name, name))
end

function certificates.self_signed(directory, name)
  openssl(directory, ("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    .. " -keyout %s.key -out %s.pem"):format(name, name))
end

return certificates
