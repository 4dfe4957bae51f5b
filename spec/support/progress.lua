-- busted's output: a line for each file as it goes, then what failed, in full, then `N passed, N failed`.
local busted = require "busted"
local pretty = require "pl.pretty"

local function print_problem(what, problem)
  local where, said = problem.element.trace or problem.trace or {}, problem.message
  print(("\n%s: %s (%s:%d)"):format(what, problem.name, where.short_src or "?", where.currentline or 0))
  if said ~= nil then print(type(said) == "string" and said or pretty.write(said)) end
  if problem.isError and problem.trace and problem.trace.traceback then print(problem.trace.traceback) end
end

return function()
  local handler = require "busted.outputHandlers.base"()
  local counts

  local function on(event, act)
    busted.subscribe(event, function(...)
      act(...)
      io.flush()
      return nil, true
    end)
  end

  local function outside_of_tests(element)
    if counts and element.descriptor ~= "it" then counts.error = counts.error + 1 end
  end

  on({ "file", "start" }, function(file)
    counts = { success = 0, failure = 0, error = 0, pending = 0 }
    io.write(("%-30s"):format(file.name:match "[^/]*$"))
  end)

  on({ "test", "end" }, function(_, _, status) counts[status] = counts[status] + 1 end)
  on({ "error" }, outside_of_tests)
  on({ "failure" }, outside_of_tests)

  on({ "file", "end" }, function(file)
    local failed, pending = counts.failure + counts.error, counts.pending
    io.write(("%4d passed %6.1f s%s%s\n"):format(counts.success, file.duration or 0,
      pending > 0 and (", %d pending"):format(pending) or "", failed > 0 and (", %d FAILED"):format(failed) or ""))
  end)

  on({ "suite", "end" }, function()
    for _, pending in ipairs(handler.pendings) do print_problem("pending", pending) end
    for _, failure in ipairs(handler.failures) do print_problem("failed", failure) end
    for _, err in ipairs(handler.errors) do print_problem("failed", err) end
    print(("\n%d passed, %d failed"):format(handler.successesCount, handler.failuresCount + handler.errorsCount))
  end)

  return handler
end
