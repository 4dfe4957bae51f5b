-- Whether a descriptor is readable within some seconds. A loop of its own for each question: cqueues' shared poller
-- remembers descriptors that were closed since.
local cqueues = require "cqueues"

return function(fd, seconds)
  local loop, ready = cqueues.new(), nil
  loop:wrap(function() ready = cqueues.poll({ pollfd = fd, events = "r" }, seconds) end)
  assert(loop:loop())
  loop:close()
  return ready ~= seconds
end
