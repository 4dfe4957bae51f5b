-- A proxy that is configured: how it is checked and shown, and what its refusals come to.
local catalog = require "catalog"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local DATASET <const> = service.DATASET
local SERVER <const> = "https://127.0.0.1:1" -- reached by nobody but a proxy

local function with_proxy(proxy, changes)
  local all = { proxy = proxy }
  for name, value in pairs(changes or {}) do all[name] = value end
  return catalog.client(service.settings(SERVER, all))
end

-- Creates by way of a server with the script. Gives the error, and the server's URL with another scheme and a user.
local function refused(script, scheme, changes)
  local server <close> = raw.start(script)
  local authority = ("127.0.0.1:%d"):format(server.port)
  local client = assert(with_proxy(("%s://me:s3cret@%s"):format(scheme or "http", authority), changes))
  local batch, err = client:create_batch { dataset = DATASET }
  assert.is_nil(batch)
  assert.is_nil(err.ambiguous)
  assert.is_nil(tostring(err):find("s3cret", 1, true))
  return err, authority
end

local function answer_to_connect(status)
  return { { { send = ("HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n"):format(status), close = true } } }
end

-- Creates in a process with the environment. Gives the batch's id or the error.
local function create_with(environment)
  return shell.lua([[
    local secret, timeout, proxy = os.getenv "SPEC_SECRET", os.getenv "SPEC_TIMEOUT", os.getenv "SPEC_PROXY" or true
    if proxy == "default" then proxy = nil end
    local client, err = require "catalog".client {
      base_url = os.getenv "SPEC_URL" or "http://127.0.0.1:1", org = "ORG@AdobeOrg", api_key = "key", retry = false,
      token = not secret and "token" or nil, client_secret = secret, proxy = proxy, insecure = true,
      connect_timeout = timeout and tonumber(timeout),
    }
    local batch
    if client then batch, err = client:create_batch { dataset = "5c8c3c555033b814b69f947f" } end
    print(batch and batch.id or err.kind .. ": " .. err.message)
  ]], "unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY; " .. environment)
end

describe("a proxy that refuses a connection", function()
  it("for want of a user it knows is an error of kind auth that names the proxy and its setting", function()
    local err, authority = refused(answer_to_connect "407 Proxy Authentication Required")
    assert.equal("auth", err.kind, tostring(err))
    assert.is_nil(err.retryable)
    assert.matches("the proxy wants a user and a password that it knows; put them into proxy", err.message, 1, true)
    assert.matches("(http://" .. authority .. ": ", err.message, 1, true)
    assert.matches("407", err.message, 1, true)
  end)

  it("to who may not use it is one of kind auth, and what it will never do one of kind config", function()
    for status, kind in pairs {
      ["401 Unauthorized"] = "auth", ["403 Forbidden"] = "auth", ["400 Bad Request"] = "config",
      ["405 Not Allowed"] = "config", ["302 Found"] = "config",
    } do
      local err = refused(answer_to_connect(status), "http", { retry = { tries = 3, base = 0.001 } })
      assert.equal(kind, err.kind, tostring(err))
      assert.is_nil(err.retryable)
      assert.equal(1, err.attempts)
      assert.matches("the proxy ", err.message, 1, true)
    end
  end)

  it("because it does not reach the server is asked again", function()
    for _, status in ipairs { "502 Bad Gateway", "503 Unavailable", "504 Gateway Timeout", "429 Slow" } do
      local err = refused(answer_to_connect(status), "http", { retry = { tries = 3, base = 0.001 } })
      assert.equal("network", err.kind, tostring(err))
      assert.is_true(err.retryable)
      assert.equal(3, err.attempts)
      assert.matches("the proxy does not reach the server", err.message, 1, true)
    end
  end)

  it("with SOCKS says which of these it is", function()
    local function says(bytes) return { { { silent = true, send = bytes, hang = true } } } end
    for bytes, kind in pairs {
      ["\5\255"] = "auth", -- none of the ways to say who one is
      ["\5\0\5\2\0\1\0\0\0\0\0\0"] = "auth", -- not allowed by its rules
      ["\5\0\5\4\0\1\0\0\0\0\0\0"] = "network", -- the host cannot be reached
      ["HTTP/1.1 400 Bad Request\r\n\r\n"] = "config", -- no SOCKS
    } do
      local err, authority = refused(says(bytes), "socks5h")
      assert.equal(kind, err.kind, tostring(err))
      assert.equal(kind == "network" or nil, err.retryable)
      assert.matches("(socks5h://" .. authority .. ": ", err.message, 1, true)
    end
  end)

  it("is told from a server that nobody runs, and so is one whose name is not known", function()
    local _, err = assert(with_proxy "http://me:s3cret@127.0.0.1:1"):create_batch { dataset = DATASET }
    assert.equal("network", err.kind)
    assert.matches("cannot connect to the proxy; check proxy, and whether it runs (http://127.0.0.1:1: ", err.message, 1, true)
    local _, unknown = assert(with_proxy "http://me:s3cret@nobody.invalid:1"):create_batch { dataset = DATASET }
    assert.equal("network", unknown.kind)
    assert.matches("the proxy's name is not known; check proxy and the network", unknown.message, 1, true)
    assert.is_nil((tostring(err) .. tostring(unknown)):find("s3cret", 1, true))
  end)

  it("without a tunnel asks for its user by a reply, which is no service's", function()
    local server <close> = raw.start { { { send = raw.answer("407 Proxy Authentication Required", "<p>Who?</p>") } } }
    local client = service.client("http://127.0.0.1:1", { proxy = "http://me:s3cret@127.0.0.1:" .. server.port })
    local _, err = client:create_batch { dataset = DATASET }
    assert.equal("auth", err.kind)
    assert.equal(407, err.status)
    assert.matches("the proxy wants a user and a password that it knows; put them into proxy", err.message, 1, true)
    assert.is_nil(tostring(err):find("s3cret", 1, true))
  end)
end)

describe("the setting of a proxy", function()
  it("is checked when the client is made, and shows no password", function()
    for proxy, words in pairs {
      ["http://me:s3cret@127.0.0.1:port"] = "proxy is not a URL such as http://127.0.0.1:3128",
      ["http://me:s3cret@127.0.0.1:99999"] = "proxy is not a URL",
      ["http://me:s3cret@"] = "proxy is not a URL",
      ["http://me:s3cret@ho st:1"] = "proxy is not a URL",
      ["http://me:1/s3cret@127.0.0.1:1"] = "something behind the host and the port",
      ["http://me:1?s3cret@127.0.0.1:1"] = "something behind the host and the port",
      ["http://me:1#s3cret@127.0.0.1:1"] = "something behind the host and the port",
      ["ftp://me:s3cret@127.0.0.1:1"] = "its scheme is none of http, https, socks4, socks4a, socks5 and socks5h",
      ["socks://me:s3cret@127.0.0.1:1"] = "its scheme is none of",
      ["http://me:s3cret\n@127.0.0.1:1"] = "proxy has a control character in it",
      ["http://me:s3cret@127.0.0.1:1\0x"] = "proxy has a control character in it",
    } do
      local client, err = with_proxy(proxy)
      assert.is_nil(client, proxy)
      assert.equal("config", err.kind, tostring(err))
      assert.matches(words, err.message, 1, true)
      assert.is_nil(tostring(err):find("s3cret", 1, true))
    end
  end)

  it("takes a proxy of each kind, with and without a port, a user and a last slash, and none", function()
    for _, scheme in ipairs { "http", "https", "socks4", "socks4a", "socks5", "socks5h", "HTTP" } do
      assert.is_truthy(with_proxy(scheme .. "://me:s3%2Fcret@proxy.example.com:3128/"))
    end
    for _, proxy in ipairs { "http://[::1]:3128", "http://proxy.example.com", "127.0.0.1:3128", "" } do
      assert.is_truthy(with_proxy(proxy), proxy)
    end
  end)

  it("says what is not encoded in a password", function()
    for _, password in ipairs { "s3/cret", "s3#cret", "s3?cret", "1/s3cret", "1#s3cret" } do
      local _, err = with_proxy(("http://me:%s@127.0.0.1:1"):format(password))
      assert.matches("is there a /, a ? or a # in the password, which are written %2F, %3F and %23?", err.message, 1, true)
      assert.is_nil(tostring(err):find(password, 1, true))
    end
    local _, err = with_proxy "http://me:s3cret@127.0.0.1:port"
    assert.is_nil(err.message:find("in the password", 1, true))
  end)

  it("holds whatever the environment says", function()
    local server <close> = raw.start { { { send = raw.answer("201 Created", '{"id":"proxied"}') } } }
    for _, name in ipairs { "NO_PROXY", "no_proxy" } do
      for _, hosts in ipairs { "'*'", "127.0.0.1,localhost" } do
        assert.equal("proxied\n", (create_with(("%s=%s SPEC_PROXY=%s"):format(name, hosts, server.url))))
      end
    end
  end)
end)

describe("a proxy of the environment", function()
  -- Lua 5.4.4 forgets where the stack is when it grows while a slot is closed, as it does here at one of the depths.
  it("is read however deep the stack is", function()
    assert.equal("200\n", (shell.lua([[
      local core = require "catalog.core"
      local settings = {
        services = { "http://h.example" }, proxy = true, connect_timeout = 1, max_reply = 1, user_agent = "spec",
      }
      local count = 0
      local function descend(depth)
        if depth > 0 then return (descend(depth - 1)) end
        count = count + (core.client.new(settings) and 1 or 0)
      end
      for depth = 1, 200 do coroutine.wrap(descend)(depth) end
      print(count)
    ]], "export http_proxy=http://127.0.0.1:9;")))
  end)

  -- A server that is a proxy, to http and, as it refuses, to https.
  local function with_server(body)
    local server <close> = raw.start {
      { { send = raw.answer("201 Created", '{"id":"proxied"}'), close = true } },
    }
    return body(("http://me:s3cret@127.0.0.1:%d"):format(server.port), server)
  end

  local HTTP <const>, HTTPS <const> = "SPEC_URL=http://aep.invalid", "SPEC_URL=https://aep.invalid"
  local UNKNOWN <const> = "the host's name is not known"

  it("is used for URLs of its scheme, or of any", function()
    with_server(function(url)
      for _, name in ipairs { "http_proxy", "all_proxy", "ALL_PROXY" } do
        assert.equal("proxied\n", (create_with(("%s %s=%s"):format(HTTP, name, url))), name)
      end
      for _, name in ipairs { "https_proxy", "HTTPS_PROXY", "HTTP_PROXY" } do
        assert.matches(UNKNOWN, create_with(("%s %s=%s"):format(HTTP, name, url)), 1, true)
      end
      for _, name in ipairs { "http_proxy", "HTTP_PROXY" } do
        assert.matches(UNKNOWN, create_with(("%s %s=%s"):format(HTTPS, name, url)), 1, true)
      end
    end)
    for _, name in ipairs { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" } do
      local said = create_with(("%s %s=http://me:s3cret@127.0.0.1:1"):format(HTTPS, name))
      assert.matches(("cannot connect to the proxy; check proxy, and whether it runs (http://127.0.0.1:1 of %s: ")
        :format(name), said, 1, true)
    end
    assert.matches("(http://127.0.0.1:1 of https_proxy: ",
      create_with(HTTPS .. " https_proxy=127.0.0.1:1 HTTPS_PROXY=127.0.0.1:2 all_proxy=127.0.0.1:3"), 1, true)
  end)

  it("is not used unless it is asked for", function()
    local all = "http_proxy=http://127.0.0.1:2 https_proxy=http://127.0.0.1:2 all_proxy=http://127.0.0.1:2 "
    for _, url in ipairs { HTTP, HTTPS } do
      assert.matches(UNKNOWN, create_with(all .. url .. " SPEC_PROXY=default"), 1, true)
    end
  end)

  it("answers for what it refuses", function()
    local server <close> = raw.start(answer_to_connect "407 Proxy Authentication Required")
    local said = create_with(("%s https_proxy=me:s3cret@127.0.0.1:%d"):format(HTTPS, server.port))
    assert.matches(("(http://127.0.0.1:%d of https_proxy: "):format(server.port), said, 1, true)
    assert.matches("the proxy wants a user and a password that it knows", said, 1, true)
    assert.is_nil(said:find("s3cret", 1, true))
  end)

  it("is not used for this machine, nor where proxy says that there is none", function()
    local all = "http_proxy=%s https_proxy=%s all_proxy=%s "
    all = all:gsub("%%s", "http://127.0.0.1:2")
    for url, words in pairs {
      ["http://127.0.0.1:1"] = "cannot connect; check the URL", ["http://127.9.9.9:1"] = "cannot connect; check the URL",
      ["https://localhost:1"] = "cannot connect; check the URL", ["http://[::1]:1"] = "cannot connect; check the URL",
      ["https://aep.invalid"] = "http://127.0.0.1:2 of https_proxy",
    } do
      assert.matches(words, create_with(all .. "SPEC_URL=" .. url), 1, true)
    end
    assert.matches(UNKNOWN, create_with(all .. HTTPS .. " SPEC_PROXY="), 1, true)
  end)

  it("is not used for the hosts of NO_PROXY", function()
    local function uses(host, list, name)
      local said = create_with(("http_proxy=http://127.0.0.1:2 %s='%s' SPEC_URL='http://%s' SPEC_TIMEOUT=0.05"):format(
        name or "NO_PROXY", list, host))
      return said:find("cannot connect to the proxy", 1, true) ~= nil
    end
    for host, lists in pairs {
      ["a.aep.invalid"] = {
        "*", "aep.invalid", ".aep.invalid", "*.aep.invalid", "A.AEP.Invalid", "x, aep.invalid", "x aep.invalid.",
      },
      ["[2001:db8::1]"] = { "2001:db8::1", "[2001:db8::1]", "2001:db8::/32", "2001:db8:0::1" },
      ["192.0.2.77"] = { "192.0.2.77", "192.0.2.0/24", "192.0.2.64/27", "0.0.0.0/0" },
    } do
      for _, list in ipairs(lists) do assert.is_false(uses(host, list), host .. " in " .. list) end
    end
    for host, lists in pairs {
      ["a.aep.invalid"] = { "ep.invalid", "b.aep.invalid", "x.a.aep.invalid", ",", ".", "0.0.0.0/0" },
      ["[2001:db8::1]"] = { "2001:db8::2", "2001:db9::/32", "0.0.0.0/0", "2001:db8::1/129" },
      ["192.0.2.77"] = { "192.0.2.7", "0.2.77", "192.0.2.0/27", "192.0.2.0/x", "192.0.2.0/", "192.0.2.0/-1", "::/0" },
    } do
      for _, list in ipairs(lists) do assert.is_true(uses(host, list), host .. " in " .. list) end
    end
    assert.is_false(uses("aep.invalid", "aep.invalid", "no_proxy"))
  end)

  it("is checked where it is needed, and shows no password", function()
    for _, url in ipairs { "http://me:s3/cret@127.0.0.1:1", "http://me:s3#cret@127.0.0.1:1", "ftp://me:s3cret@127.0.0.1" } do
      local said = create_with(("%s https_proxy='%s'"):format(HTTPS, url))
      assert.matches("^config: https_proxy ", said)
      assert.is_nil(said:find("cret", 1, true))
      assert.matches(UNKNOWN, create_with(("%s https_proxy='%s'"):format(HTTP, url)), 1, true)
      assert.matches("cannot connect; check the URL", create_with(("https_proxy='%s'"):format(url)), 1, true)
      said = create_with(("SPEC_SECRET=1 https_proxy='%s'"):format(url)) -- for the identity service
      assert.matches("^config: https_proxy ", said)
    end
  end)
end)
