--- The files beside one that is followed: what it was before it was rotated, by renaming or by copying.
-- @module catalog.cli.rotated
local Reader = require "catalog.cli.reader"
local core = require "catalog.core"

local rotated = {}

-- How often the files are looked at until they are the same twice, at the most.
local SCANS <const> = 10

-- The directory of a path, and how names begin that a rotation gives to its file: app.jsonl.1, app.1.jsonl.
local function family_of(path)
  local directory, name = path:match "^(.*/)([^/]*)$"
  if not directory then directory, name = "./", path end
  return directory, name:match "^(.+)%.[^.]*$" or name
end

-- Compressed, or something else that is no JSON lines.
local function is_readable(path)
  local tail <close> = core.tail.open(path)
  local head = tail and tail:read(0, 64)
  return head and head:find "^%s*{" ~= nil
end

-- The files, and a text that is another when any of them has another name.
local function scan(path)
  local directory, stem = family_of(path)
  local own = core.tail.look(path) or ""
  local list, seen, texts = {}, { [own] = true }, { own }
  for _, name in ipairs(core.fs.list(directory) or {}) do
    local id, size, changed
    if name:sub(1, #stem) == stem then id, size, changed = core.tail.look(directory .. name) end
    if id and not seen[id] then
      seen[id] = true
      list[#list + 1] = { path = directory .. name, id = id, size = size, changed = changed }
      texts[#texts + 1] = name .. " " .. id
    end
  end
  return list, table.concat(texts, "\n")
end

--- The regular files beside a path that have its name, and something in place of its ending or behind it.
-- @tparam string path
-- @treturn {table,...} each `path`, `id`, `size`, `changed`; the one that was changed last is the last
function rotated.list(path)
  local list, text = scan(path)
  for _ = 2, SCANS do -- while they are being renamed one may be missed
    local before = text
    list, text = scan(path)
    if text == before then break end
  end
  table.sort(list, function(a, b)
    if a.changed ~= b.changed then return a.changed < b.changed end
    if #a.path ~= #b.path then return #a.path > #b.path end
    return a.path > b.path -- app.jsonl.2 is older than app.jsonl.1
  end)
  return list
end

--- A file that has what another had before that was cut.
-- @tparam {table,...} list as of `list`
-- @tparam table which what is known of the one that was cut
-- @tparam integer most bytes that a record may have
-- @treturn ?table a reader that goes on in it
-- @treturn ?table the one of the list
function rotated.copy(list, which, most)
  for i = #list, 1, -1 do
    local copy = Reader.open_copy(list[i].path, which, most)
    if copy then return copy, list[i] end
  end
end

--- Opens those of a list of which nothing was taken, and that were changed later than another, or in the same few
-- milliseconds that a system's clock for files has: they were written and rotated while nobody looked.
-- @tparam {table,...} list as of `list`
-- @tparam integer since when the one was changed that was read last
-- @tparam {[string]=boolean,...} seen those that are open, by their `id`
-- @tparam function open makes a reader of a path
-- @tparam function note is told what cannot be read
-- @treturn {table,...} readers, the oldest first
function rotated.between(list, since, seen, open, note)
  local readers = {}
  for _, file in ipairs(list) do
    if not seen[file.id] and file.changed >= since then
      local reader = open(file.path)
      if reader and (reader.is_known or file.size == 0) then
        reader:close()
      elseif reader and not is_readable(file.path) then
        reader:close()
        note(("%s has no JSON lines, or is compressed: what was not read of it before is left out"):format(file.path))
      else
        readers[#readers + 1] = reader
      end
    end
  end
  return readers
end

return rotated
