-- A TCP server on cqueues for records, a line of JSON each: a sink has them on disk, and makes few batches of them. An
-- empty line asks, and so does the end: the answer is how many lines of this connection survive a crash now. The others
-- are the sender's to send again. Bad lines count, and lie in SPOOL/rejected; one that is too long is the last one.
-- Nothing is read while the spool is full. SIGINT and SIGTERM end it. Usage: lua5.4 receiver.lua PORT DATASET SPOOL
local cqueues, signal, socket = require "cqueues", require "cqueues.signal", require "cqueues.socket"
local function complain(err) io.stderr:write("receiver: ", tostring(err), "\n") end
local function check(value, err) return value or complain(err) or os.exit(1) end -- as assert, for readers
local port, dataset, spool = arg[1], arg[2], check(arg[3], "usage: lua5.4 receiver.lua PORT DATASET SPOOL")
local client = check(require "catalog".client { loop = require "catalog.loop.cqueues" })
signal.block(signal.SIGINT, signal.SIGTERM)
local signals = signal.listen(signal.SIGINT, signal.SIGTERM)
socket.onerror(function(_, _, why) return why end)
socket.setmaxline(1000100) -- more than a record may have
local loop, listener, senders = cqueues.new(), socket.listen("127.0.0.1", port), 0

local function serve(connection, sink)
  local taken = 0
  local function answer() return check(taken == 0 or sink:sync()) and connection:write(taken, "\n") end
  connection:setmode("b", "bn")
  for line in connection:lines "*L" do
    if line ~= "\n" then taken = check(sink:write_line(line)) and taken + 1 end -- waits while the spool is full
    if line:byte(-1) ~= 10 or line == "\n" and not answer() then break end
  end
  answer()
  connection:close()
  senders = senders - 1
end
loop:wrap(function() -- a sink that is opened in a loop goes on with it
  local sink = check(client:sink { dataset = dataset, spool = spool, on_error = complain, on_warning = complain })
  check(listener:listen(), "port " .. port .. " cannot be listened on")
  complain("listening on port " .. select(3, listener:localname()))
  loop:wrap(function() os.exit(signals:wait() and check(sink:close()) and 0) end)
  while true do
    while senders >= 100 do cqueues.sleep(0.1) end -- the sink needs descriptors, too
    local connection, why = listener:accept()
    senders = connection and loop:wrap(serve, connection, sink) and senders + 1 or senders
    if why then cqueues.sleep(complain("no connection can be taken: errno " .. why) or listener:clearerr() or 0.1) end
  end
end)
check(loop:loop())
