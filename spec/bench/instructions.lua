--- What a creation costs in instructions, as callgrind counts them: the same on a busy machine as on an idle one.
local instructions = {}

-- What it was before there were retries, journals and tasks, with Debian 12's libcurl, Lua and lua-cjson; and how much
-- more those may cost where nothing fails.
local BEFORE <const>, MORE <const> = 193800, 1.05

local FEW <const>, MANY <const> = 500, 2500

local function count(bench, number)
  local command = ("valgrind --tool=callgrind --callgrind-out-file=/dev/null '%s' '%s/spec/bench/creator.lua' %s %d 2>&1")
    :format(bench.lua, bench.root, bench.server:url(0), number)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  return tonumber((assert(text:match "refs:%s*([%d,]+)", text):gsub(",", "")))
end

--- Measures it.
function instructions.run(bench)
  local each = (count(bench, MANY) - count(bench, FEW)) / (MANY - FEW)
  bench.row("create_batch, one after another: instructions", ("<= %.1fk"):format(BEFORE * MORE / 1000),
    ("%.1fk"):format(each / 1000), each <= BEFORE * MORE)
  bench.note("%+.1f %% to what it was before there were retries, journals and tasks (%.1fk)",
    (each / BEFORE - 1) * 100, BEFORE / 1000)
end

return instructions
