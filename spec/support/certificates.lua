-- Certificates of an authority of our own, made with openssl.
local shell = require "support.shell"

local certificates = {}

local function openssl(directory, command)
  local output, status = shell.run(("cd %s && openssl %s"):format(shell.quote(directory), command))
  if status ~= 0 then error(output, 2) end
end

-- `openssl ca` lets every version choose dates that are over; `x509` does so with other options in each.
local CONFIGURATION <const> = [[
[ca]
default_ca = own
[own]
database = index.txt
new_certs_dir = .
default_md = sha256
rand_serial = yes
policy = any
[any]
commonName = supplied
]]

local DAY <const> = 24 * 60 * 60

local function date(days)
  return os.date("!%y%m%d%H%M%SZ", os.time() + days * DAY)
end

--- Makes ca.pem, of the authority.
function certificates.authority(directory)
  openssl(directory, "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=spec-ca -keyout ca.key -out ca.pem")
  shell.write(directory .. "/ca.cnf", CONFIGURATION)
  shell.write(directory .. "/index.txt", "")
end

--- Makes NAME.pem with NAME.key, signed by the authority: for `host`, valid until `days` days from now (negative: over
-- already).
function certificates.sign(directory, name, host, days)
  local kind = host:find "^[%d.]+$" and "IP" or "DNS"
  shell.write(directory .. "/" .. name .. ".ext", ("subjectAltName=%s:%s\n"):format(kind, host))
  openssl(directory, ("req -newkey rsa:2048 -nodes -subj /CN=%s -keyout %s.key -out %s.csr"):format(host, name, name))
  openssl(directory, ("ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -startdate %s -enddate %s"
    .. " -extfile %s.ext -in %s.csr -out %s.pem"):format(date(math.min(days, 0) - 1), date(days), name, name, name))
end

function certificates.self_signed(directory, name)
  openssl(directory, ("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    .. " -keyout %s.key -out %s.pem"):format(name, name))
end

return certificates
