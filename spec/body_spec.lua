-- Where the bytes of a request come from, and where those of a reply go.
local core = require "catalog.core"
local raw = require "support.raw"
local service = require "support.service"
local shell = require "support.shell"

local CONTENT <const> = ("0123456789"):rep(20000)

-- Sends requests one after another, and gives their bodies as the server saw them.
local function bodies_of(requests)
  local answers, bodies = {}, {}
  for i = 1, #requests do answers[i] = { send = raw.answer("200 OK", "") } end
  local server <close> = raw.start { answers }
  local client = service.client(server.url)
  for _, request in ipairs(requests) do
    request.method, request.path, request.content_type = request.method or "PUT", "/", "x/y"
    request.read = function() return true end
    assert(client:send(request))
  end
  for i, text in ipairs(server:stop()) do bodies[i] = text:match "\r\n\r\n(.*)" end
  return bodies
end

describe("the body of a request", function()
  it("is a text, a buffer or a file, or a range of one", function()
    shell.with_directory(function(directory)
      shell.write(directory .. "/f", CONTENT)
      local file <close>, buffer = assert(core.file.open(directory .. "/f")), core.buffer.new(10)
      buffer:append(CONTENT)
      for _, body in ipairs { CONTENT, buffer, file } do
        assert.same({ CONTENT, CONTENT:sub(8, 100007), "9", "" }, bodies_of {
          { body = body, upload = true }, { body = body, upload = true, offset = 7, length = 100000 },
          { body = body, upload = true, offset = 199999 }, { body = body, upload = true, offset = 5, length = 0 },
        })
      end
    end)
  end)

  it("is empty where there is none, whatever the method", function()
    for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "HEAD" } do
      assert.same({ "" }, bodies_of { { method = method } })
    end
  end)
end)

describe("the body of a reply", function()
  it("is kept in memory up to a length", function()
    local server <close> = raw.start { {
      { send = raw.answer("200 OK", ("x"):rep(1000)) }, { send = raw.answer("200 OK", ("x"):rep(1001)) },
    } }
    local client = service.client(server.url, { max_reply = 1000 })
    local function get() return client:send { method = "GET", path = "/", read = function(body) return #body end } end
    assert.equal(1000, (get()))
    local none, err = get()
    assert.is_nil(none)
    assert.equal("limit", err.kind)
  end)

  it("goes into a file that is emptied before, and is not kept in memory", function()
    shell.with_directory(function(directory)
      local server <close> = raw.start { {
        { send = raw.answer("200 OK", CONTENT) }, { send = raw.answer("200 OK", "short") },
      } }
      local client = service.client(server.url, { max_reply = 1000 })
      local into <close> = assert(io.open(directory .. "/f", "w+b"))
      for _, text in ipairs { CONTENT, "short" } do
        local kept
        assert(client:send { method = "GET", path = "/", into = into, read = function(body)
          kept = body
          return true
        end })
        assert.equal("", kept or "")
        assert.equal(text, shell.read(directory .. "/f"))
      end
    end)
  end)
end)
