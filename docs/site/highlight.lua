--- Colours for code: comments, texts, keywords and numbers of Lua, comments and texts of the shell.
local html = require "docs.site.html"

local KEYWORDS <const> = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true "
  .. "until while"):gmatch "%S+" do KEYWORDS[word] = "k" end

-- What begins a token, what all of it is, and its class; the first that fits counts.
local LUA <const> = {
  { "^%-%-%[%[.-%]%]", "c" }, { "^%-%-[^\n]*", "c" }, { "^%[%[.-%]%]", "s" }, { '^"[^"\n]*"', "s" },
  { "^'[^'\n]*'", "s" }, { "^[%a_][%w_]*", "word" }, { "^0x%x+", "n" }, { "^%d[%w.]*", "n" },
}
local SHELL <const> = { { "^#[^\n]*", "c" }, { '^"[^"]*"', "s" }, { "^'[^']*'", "s" }, { "^[^%s#\"']+", "word" } }

local function token_at(text, at, rules)
  for _, rule in ipairs(rules) do
    local found = text:match(rule[1], at)
    if found then return found, rule[2] == "word" and KEYWORDS[found] or rule[2] end
  end
  return text:sub(at, at), "word"
end

--- Colours a text.
-- @tparam string text
-- @tparam string language `lua`, `sh`; another one has no colours
-- @treturn string HTML
return function(text, language)
  local rules = language == "lua" and LUA or language == "sh" and SHELL
  if not rules then return html.escape(text) end
  local parts, at = {}, 1
  while at <= #text do
    local found, class = token_at(text, at, rules)
    if rules == SHELL and class == "k" then class = "word" end
    local escaped = html.escape(found)
    parts[#parts + 1] = class == "word" and escaped or ('<span class="%s">%s</span>'):format(class, escaped)
    at = at + #found
  end
  return table.concat(parts)
end
