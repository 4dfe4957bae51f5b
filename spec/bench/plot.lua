--- Draws what the bench has measured: `lua plot.lua FIGURES DIRECTORY`. FIGURES are the JSON lines of `run.lua`, and each
-- chart becomes an SVG whose colours are those of a light or a dark page.
local cjson = require "cjson"

local WIDTH <const> = 760

local STYLE <const> = [[
<style>
text { font: 14px system-ui, "Liberation Sans", "DejaVu Sans", sans-serif; fill: #1d2328; }
.small { font-size: 12px; fill: #55606b; }
.head { font-size: 16px; font-weight: 600; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.axis { stroke: #55606b; stroke-width: 1; fill: none; }
.grid { stroke: #d5dae0; stroke-width: 1; }
.ours { fill: #0b62b8; }
.theirs { fill: #9a6a1f; }
.line { fill: none; stroke-width: 2.5; }
.line.ours { stroke: #0b62b8; fill: none; }
.line.theirs { stroke: #9a6a1f; fill: none; stroke-dasharray: 6 4; }
.mark { stroke: #1d2328; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #dfe5ea; }
  .small { fill: #a3afba; }
  .axis { stroke: #a3afba; }
  .grid { stroke: #343c45; }
  .ours { fill: #6cb2f7; }
  .theirs { fill: #e0b060; }
  .line.ours { stroke: #6cb2f7; fill: none; }
  .line.theirs { stroke: #e0b060; fill: none; }
  .mark { stroke: #dfe5ea; }
}
</style>]]

-- --- a drawing ---

local Drawing = {}
Drawing.__index = Drawing

local function new(height, title, text)
  local drawing = setmetatable({ parts = {}, height = height, title = title, text = text }, Drawing)
  drawing:write(0, 20, "head", title)
  return drawing
end

local function escape(text) return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" })) end

function Drawing:add(...) self.parts[#self.parts + 1] = string.format(...) end

function Drawing:write(x, y, class, text) self:add('<text x="%.1f" y="%.1f" class="%s">%s</text>', x, y, class, escape(text)) end

function Drawing:line(class, x1, y1, x2, y2)
  self:add('<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>', class, x1, y1, x2, y2)
end

function Drawing:bar(class, x, y, width, height)
  self:add('<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"/>', class, x, y, math.max(width, 1), height)
end

-- A line through points; with dots where somebody has measured.
function Drawing:curve(class, points, has_dots)
  local words = {}
  for i, point in ipairs(points) do words[i] = ("%.1f,%.1f"):format(point[1], point[2]) end
  self:add('<polyline class="line %s" points="%s"/>', class, table.concat(words, " "))
  if not has_dots then return end
  for _, point in ipairs(points) do self:add('<circle class="%s" cx="%.1f" cy="%.1f" r="4"/>', class, point[1], point[2]) end
end

function Drawing:text_of()
  return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img"'
    .. ' aria-labelledby="title text">\n<title id="title">%s</title>\n<desc id="text">%s</desc>\n%s\n%s\n</svg>\n'):format(
    WIDTH, self.height, WIDTH, self.height, escape(self.title), escape(self.text), STYLE, table.concat(self.parts, "\n"))
end

-- --- charts ---

local charts = {}

-- Rates, each to that of its peer, which is at 1.
function charts.speed(list)
  local left, right, top, step = 330, WIDTH - 60, 70, 34
  local drawing = new(top + #list * step + 30, "Rate, to that of the peer", "Bars of the rate of each, where the peer's is 1.")
  local most = 1.2
  for _, one in ipairs(list) do most = math.max(most, one.high) end
  local function x(ratio) return left + ratio / most * (right - left) end
  drawing:line("mark", x(1), top - 14, x(1), top + #list * step)
  drawing:write(x(1), top - 22, "small middle", "the peer: 1")
  for i, one in ipairs(list) do
    local y = top + (i - 1) * step
    drawing:write(left - 12, y + 10, "end", one.what)
    drawing:write(left - 12, y + 24, "small end", "to " .. one.peer)
    drawing:bar("ours", left, y, x(one.ratio) - left, 20)
    drawing:line("mark", x(one.low), y + 23, x(one.high), y + 23)
    drawing:write(WIDTH, y + 15, "end", ("%.2f"):format(one.ratio))
  end
  drawing:write(left, drawing.height - 8, "small", "below each bar: from quartile to quartile")
  return drawing
end

local function grouped(list, key)
  local groups, order = {}, {}
  for _, one in ipairs(list) do
    local name = key(one)
    if not groups[name] then groups[name], order[#order + 1] = {}, name end
    table.insert(groups[name], one)
  end
  return groups, order
end

-- Axes of a chart of lines: `x` and `y` give where a value is.
local function axes(drawing, box, xs, ys)
  for _, tick in ipairs(ys) do
    drawing:line("grid", box.left, tick[1], box.right, tick[1])
    drawing:write(box.left - 8, tick[1] + 4, "small end", tick[2])
  end
  for _, tick in ipairs(xs) do drawing:write(tick[1], box.bottom + 18, "small middle", tick[2]) end
  drawing:line("axis", box.left, box.bottom, box.right, box.bottom)
end

local MIB <const> = 1024 * 1024

function charts.memory(list)
  local box = { left = 70, right = WIDTH - 150, top = 50, bottom = 290 }
  local drawing = new(340, "Memory that sending a file takes, by its size",
    "Lines of the growth of memory in MiB over the size of the file: flat from some size on.")
  local least, most, tallest = math.huge, 0, 60
  for _, one in ipairs(list) do least, most = math.min(least, one.bytes), math.max(most, one.bytes) end
  local function x(bytes) return box.left + math.log(bytes / least) / math.log(most / least) * (box.right - box.left) end
  local function y(mib) return box.bottom - mib / tallest * (box.bottom - box.top) end
  local xs, ys, seen = {}, {}, {}
  for mib = 0, tallest, 20 do ys[#ys + 1] = { y(mib), ("%d MiB"):format(mib) } end
  for _, one in ipairs(list) do
    local mib = one.bytes // MIB
    local shown = mib < 1024 and ("%d MiB"):format(mib) or ("%d GiB"):format(mib // 1024)
    if not seen[mib] then xs[#xs + 1] = { x(one.bytes), shown } end
    seen[mib] = true
  end
  axes(drawing, box, xs, ys)
  drawing:curve("theirs", { { x(least), y(least / MIB) }, { x(tallest * MIB), y(tallest) } })
  drawing:write(x(tallest * MIB) + 8, y(tallest) + 14, "small", "a file that is read whole")
  local groups, order = grouped(list, function(one) return one.way end)
  local names = { file = "from a file", reader = "from a function" }
  for _, way in ipairs(order) do
    local points = {}
    for i, one in ipairs(groups[way]) do points[i] = { x(one.bytes), y(one.grown / MIB) } end
    drawing:curve("ours", points, true)
    drawing:write(box.right + 12, points[#points][2] + 4, "", names[way])
  end
  drawing:write(box.left, box.bottom + 40, "small", "four requests in flight; a function's bytes go in parts of 8 MiB")
  return drawing
end

function charts.batches(list)
  local box = { left = 70, right = WIDTH - 170, top = 50, bottom = 290 }
  local drawing = new(340, "Batches a day, by records a second",
    "Lines of batches a day over records a second: those of a sink stay below 90, others grow with the records.")
  local first, last, most, advised <const> = list[1].rate, list[#list].rate, 100000, 90
  local function x(rate) return box.left + math.log(rate / first) / math.log(last / first) * (box.right - box.left) end
  local function y(count) return box.bottom - math.log(math.max(count, 1)) / math.log(most) * (box.bottom - box.top) end
  local xs, ys = {}, {}
  for _, count in ipairs { "1", "10", "90", "1,000", "10,000", "100,000" } do
    ys[#ys + 1] = { y(tonumber((count:gsub(",", "")))), count }
  end
  for _, one in ipairs(list) do xs[#xs + 1] = { x(one.rate), ("%d a second"):format(one.rate) } end
  axes(drawing, box, xs, ys)
  drawing:line("mark", box.left, y(advised), box.right, y(advised))
  drawing:write(box.right + 12, y(advised) - 8, "small", "the advice")
  local many = {}
  for _, one in ipairs(list) do
    local count = one.rate * 86400 / 10000
    if count <= most then many[#many + 1] = { x(one.rate), y(count) } end
  end
  drawing:curve("theirs", many)
  drawing:write(box.right + 12, many[#many][2] + 4, "small", "one for 10,000 records")
  local points = {}
  for i, one in ipairs(list) do points[i] = { x(one.rate), y(one.a_day) } end
  drawing:curve("ours", points, true)
  drawing:write(box.right + 12, points[#points][2] + 14, "", "a sink")
  drawing:write(box.left, box.bottom + 40, "small", "measured with roll.seconds = 1, and scaled to the default, 960")
  return drawing
end

-- The lateness of a timer, of ours and of the other side, in pairs.
function charts.lateness(list)
  local groups, order = grouped(list, function(one) return one.loop .. ", beside " .. one.beside end)
  local left, right, top, step = 330, WIDTH - 80, 50, 62
  local drawing = new(top + #order * step + 30, "How late a timer of 1 ms is in a host's loop",
    "Pairs of bars: how late the timer is beside this module's work, and where that is done elsewhere or not at all.")
  local most = 0
  for _, one in ipairs(list) do most = math.max(most, one.share) end
  local names = { ours = "in the loop", curl = "by curl, beside it", idle = "none: the loop is idle" }
  for i, name in ipairs(order) do
    local y = top + (i - 1) * step
    drawing:write(0, y + 26, "", name)
    for k, one in ipairs(groups[name]) do
      local at, width = y + (k - 1) * 24, one.share / most * (right - left)
      drawing:bar(one.side == "ours" and "ours" or "theirs", left, at, width, 18)
      drawing:write(left - 8, at + 14, "small end", names[one.side])
      drawing:write(WIDTH, at + 14, "end", ("%.2f ms"):format(one.share))
    end
  end
  drawing:write(left, drawing.height - 8, "small", "of a thousand times the latest but one; medians of several runs")
  return drawing
end

-- --- all of it ---

-- The figures of each chart, and on which machine they were measured: a run begins with that.
local function read(path)
  local lists, machine = {}, nil
  for line in io.lines(path) do
    local figure = cjson.decode(line)
    if figure.chart == "machine" then
      machine = figure
    else
      lists[figure.chart] = lists[figure.chart] or { machine = machine }
      table.insert(lists[figure.chart], figure)
    end
  end
  return lists
end

local lists, directory = read(arg[1]), arg[2]

-- Where it was measured, below each chart.
local function sign(drawing, machine)
  drawing.height = drawing.height + 20
  drawing:write(0, drawing.height - 6, "small", ("%s, %d cores, a load of %s; %s, libcurl %s, %s%s"):format(machine.cpu,
    machine.cores, machine.load, machine.version, machine.libcurl, machine.lua, machine.quick and "; a quick run" or ""))
  return drawing:text_of()
end

for name, draw in pairs(charts) do
  if lists[name] then
    local file = assert(io.open(("%s/%s.svg"):format(directory, name), "wb"))
    assert(file:write(sign(draw(lists[name]), lists[name].machine)))
    assert(file:close())
  end
end
