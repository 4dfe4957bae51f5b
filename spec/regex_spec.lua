-- Regular expressions, as filters and schemas have them.
local regex = require "catalog.query.regex"

describe("regular expressions", function()
  it("match as POSIX's extended ones do", function()
    for _, case in ipairs {
      { "", "x", true }, { "a", "bab", true }, { "^a", "ba", false }, { "a$", "ab", false }, { "^$", "", true },
      { "^a.c$", "abc", true }, { "^a\\.c$", "abc", false }, { "^ab*c$", "abbbc", true }, { "^ab+c$", "ac", false },
      { "^ab?c$", "ac", true }, { "^a{2,3}$", "aaaa", false }, { "^a{2,3}$", "aaa", true }, { "^a{2}$", "aa", true },
      { "^a{2,}$", "aaaaa", true }, { "^(ab|c)+$", "abcab", true }, { "^(ab|c)+$", "aba", false }, { "a|b|", "", true },
      { "^(a|ab)(c|bcd)$", "abcd", true }, { "^[a-c]+$", "abcabc", true }, { "^[^a-c]+$", "xyz", true },
      { "^[]a-]+$", "a]-", true }, { "^[.]$", "x", false }, { "^\\d+\\s\\w$", "12 _", true }, { "^[\\d-]+$", "1-2", true },
      { "^(a*)*$", "aaab", false }, { "^(?:x)$", "x", true }, { "%d", "%d", true }, { "%d", "1", false },
    } do
      local matches = assert(regex.compile(case[1]))
      assert.equal(case[3], matches(case[2]), case[1] .. " and " .. case[2])
    end
  end)

  it("are refused with the reason", function()
    for pattern, why in pairs {
      ["("] = "a parenthesis is not closed", [")"] = "a parenthesis is closed that was not opened",
      ["[a"] = "a bracket is not closed", ["*"] = "there is nothing before *",
      ["a{"] = "there is no number after {", ["a{1"] = "a brace is not closed",
      ["\\"] = "it ends in a backslash", ["\\q"] = "\\q is not known",
    } do
      assert.same({ nil, why }, { regex.compile(pattern) })
    end
  end)

  it("are given up when they take too long", function()
    local matches = assert(regex.compile "^(a+)+(a+)+(a+)+$")
    assert.error_matches(function() matches(("a"):rep(60) .. "b") end, "it takes too long", 1, true)
  end)
end)
