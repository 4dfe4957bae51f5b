-- A journal as it is found again: whole, torn, or no journal at all.
local found, journal = pcall(require, "catalog.ingest.journal")
if not found and not tostring(journal):find("module 'catalog.ingest.journal' not found", 1, true) then error(journal, 0) end

return function(data)
  if not found or not journal.read then return end
  local read, err = journal.read(data)
  if read ~= nil then
    assert(type(read) == "table", "neither a table nor nil")
  else
    assert(type(err) == "table" and type(err.kind) == "string" and type(err.message) == "string", "no error table")
    assert(type(tostring(err)) == "string")
  end
end
