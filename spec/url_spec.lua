local url = require("catalog.core").url

describe("a segment of a path", function()
  it("has all but the unreserved characters encoded", function()
    assert.equal("aZ09-._~", url.segment("aZ09-._~", "id"))
    assert.equal("a%2Fb%20%3F%23%25%2B%3A", url.segment("a/b ?#%+:", "id"))
    assert.equal("%C3%A4%00%0A%7F", url.segment("ä\0\n\127", "id"))
    assert.equal("...", url.segment("...", "id"))
  end)

  it("is no step in the path", function()
    for _, text in ipairs { "", ".", ".." } do
      local segment, err = url.segment(text, "batch id")
      assert.is_nil(segment)
      assert.equal(("'%s' cannot be used as a batch id"):format(text), err.message)
      assert.equal("data", err.kind)
    end
  end)
end)

describe("a path", function()
  it("is encoded segment by segment, and has none that is a step", function()
    assert.equal("a%20b/c%3F/...", url.path "a b/c?/...")
    assert.equal("%00", url.path "\0")
    for _, text in ipairs { "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a/.." } do
      assert.is_nil(url.path(text), text)
    end
  end)
end)

describe("a header", function()
  it("is a line", function()
    assert.equal("x-api-key: k y\128", url.header("x-api-key", "k y\128", "api_key"))
  end)

  it("has no control characters and is not empty", function()
    for _, value in ipairs { "a\nb", "a\rb", "a\0b", "a\tb", "\127" } do
      local line, err = url.header("x-api-key", value, "api_key")
      assert.is_nil(line)
      assert.matches("api_key has a newline or another control character in it", err.message, 1, true)
    end
    assert.equal("api_key is empty", select(2, url.header("x-api-key", "", "api_key")).message)
  end)
end)

describe("a base URL", function()
  it("loses its last slash and keeps its path", function()
    assert.equal("https://platform.adobe.io", url.base("https://platform.adobe.io/", "base_url"))
    assert.equal("https://proxy.example.com/aep", url.base("https://proxy.example.com/aep/", "base_url"))
    assert.equal("http://127.0.0.1:8080", url.base("http://127.0.0.1:8080", "base_url"))
  end)
end)
