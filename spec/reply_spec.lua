-- What comes of the answers of a gateway, a service, and whatever stands in between.
local catalog = require "catalog"
local raw = require "support.raw"
local service = require "support.service"

local function error_of(status, body, headers, changes)
  local server <close> = raw.start { { { send = raw.answer(status, body, headers) } } }
  local batch, err = service.client(server.url, changes):create_batch { dataset = service.DATASET }
  assert.is_nil(batch)
  return err
end

describe("an error reply", function()
  it("of the gateway becomes an error with its code and advice", function()
    local err = error_of("403 Forbidden", '{"error_code":"403010","message":"Oauth token is missing."}',
      "x-request-id: r-7\r\n")
    assert.equal("auth", err.kind)
    assert.equal(403, err.status)
    assert.equal("403010", err.code)
    assert.equal("r-7", err.request_id)
    assert.is_nil(err.ambiguous)
    assert.is_nil(err.retryable)
    assert.matches("the server answered 403: Oauth token is missing. (set token, or AEP_ACCESS_TOKEN)", err.message, 1, true)
    assert.matches("[auth, HTTP 403, code 403010, request r-7]", tostring(err), 1, true)
  end)

  it("of the service becomes an error with its title and detail", function()
    local err = error_of("400 Bad Request",
      '{"type":"urn:problem","status":400,"title":"BadRequestError","detail":"Dataset not found"}')
    assert.equal("http", err.kind)
    assert.equal("Dataset not found", err.detail)
    assert.matches("the server answered 400: BadRequestError: Dataset not found", err.message, 1, true)
    assert.equal("POST", err.method)
    assert.matches("/data/foundation/import/batches$", err.url)
  end)

  it("that is a page becomes one line", function()
    local page = "<html><head><title>502 Bad Gateway</title><style>b{}</style></head>\n<body>\n<h1>Bad\tGateway</h1>\n"
      .. ("<p>word word word</p>\n"):rep(200) .. "</body></html>"
    local err = error_of("502 Bad Gateway", page)
    assert.equal("http", err.kind)
    assert.matches("the server answered 502: not the service's own answer: Bad Gateway word word", err.message, 1, true)
    assert.is_nil(err.message:find "\n")
    assert.is_nil(err.message:find "<")
    assert.is_true(#err.message < 400)
    assert.is_true(err.ambiguous)
    assert.is_true(err.retryable)
  end)

  it("that is empty says so", function()
    local err = error_of("503 Service Unavailable", "", "retry-after: 7\r\n")
    assert.matches("the server answered 503: no explanation", err.message, 1, true)
    assert.equal("7", err.retry_after)
    assert.is_true(err.retryable)
  end)

  it("leaves it open whether a creation happened only where nobody who knows has answered", function()
    for status, ambiguous in pairs {
      ["500 Error"] = true, ["502 Bad"] = true, ["503 No"] = true, ["504 Late"] = true, ["429 Slow"] = false,
      ["400 Bad"] = false, ["409 Conflict"] = false,
    } do
      assert.equal(ambiguous, error_of(status, "<html>").ambiguous or false, status)
    end
    assert.is_nil(error_of("500 Error", '{"title":"InternalServerError"}').ambiguous)
    assert.is_true(error_of("504 Late", '{"title":"GatewayTimeout"}').ambiguous)
  end)

  it("does not repeat a token that a page shows", function()
    local err = error_of("500 Error", "<p>you sent Authorization: Bearer s3.cr%t0ken</p>", nil, { token = "s3.cr%t0ken" })
    assert.matches("you sent Authorization: Bearer ***", err.message, 1, true)
    local shown = error_of("400 Bad", '{"title":"Bad","detail":"s3.cr%t0ken?"}', nil, { token = "s3.cr%t0ken" })
    assert.equal("***?", shown.detail)
  end)

  it("does not repeat a secret in any field, however the server writes it", function()
    local changes = { token = "s3cret/tok+en==" }
    local escaped = error_of("400 Bad", [[{"title":"Bad","detail":"s3cret\/tok\u002ben=="}]], nil, changes)
    assert.equal("***", escaped.detail)
    local code = error_of("400 Bad", [[{"error_code":"s3cret\/tok+en==","message":"s3cret\/tok+en=="}]], nil, changes)
    assert.equal("***", code.code)
    assert.is_nil(tostring(code):find("s3cret", 1, true))
    local echo = error_of("503 No", "", "x-request-id: s3cret/tok+en==\r\nretry-after: s3cret/tok+en==\r\n", changes)
    assert.equal("***", echo.request_id)
    assert.equal("***", echo.retry_after)
  end)

  it("does not repeat the client's secret when the identity service does", function()
    local page = "you sent client_secret=p%2Fpassword%21 (p/password!)"
    local server <close> = raw.start { { { send = raw.answer("400 Bad", page) } } }
    local client = assert(catalog.client {
      base_url = server.url, ims_url = server.url, org = "ORG@AdobeOrg", api_key = "key", client_secret = "p/password!",
      scopes = "a", retry = false,
    })
    local batch, err = client:create_batch { dataset = service.DATASET }
    assert.is_nil(batch)
    assert.matches("you sent client_secret=*** (***)", err.message, 1, true)
  end)

  it("is shown on one line, without control characters", function()
    local err = error_of("400 Bad", [[{"error_code":"4\u001b[31m","message":"a\nb\u0000c"}]])
    assert.is_nil(tostring(err):find "%c")
    assert.equal("4 [31m", err.code)
  end)

  it("may have a header without a value", function()
    assert.equal("", error_of("503 No", "", "retry-after:\r\n").retry_after)
  end)
end)
