-- Take up to `count` items for one annotator.
-- ARGV: annotator, expiry in ms, count, review (1 or 0), scan cap, page, pulls a minute (0: not counted), then the
-- numbers of the requirements that the annotator covers.
-- Answers 'wait' and milliseconds when the annotator's pulls of this minute are used up.
-- The cap bounds the entries per lane that are looked at for nothing; what is not covered is not looked at.
-- Answers item, lane, item, lane, …
local annotator, expiry, count = ARGV[1], ARGV[2], tonumber(ARGV[3])
local lanes = ARGV[4] == '1' and { 'review' } or { 'informative', 'minority', 'audit' }
local cap, page_size = tonumber(ARGV[5]), tonumber(ARGV[6])
local pulls = tonumber(ARGV[7])
if pulls > 0 then
  local pulled = P .. 'pulls:' .. annotator
  if call('INCR', pulled) == 1 then call('PEXPIRE', pulled, 60000) end
  if tonumber(call('GET', pulled)) > pulls then return { 'wait', math.max(1, call('PTTL', pulled)) } end
end
-- How the annotator stands in a record. A field may have the same name, so where it is found the record is read.
local mark = cjson.encode(annotator) .. ':'
local function had(raw)
  if not string.find(raw, mark, 1, true) then return false end
  local record = cjson.decode(raw)
  return record.live[annotator] or record.out[annotator]
end
local covered = { 0 }
for i = 8, #ARGV do
  local requirement = tonumber(ARGV[i])
  if requirement <= highest then covered[#covered + 1] = requirement end
end
local scans, heads, budgets, given, turn = {}, {}, {}, {}, 0

-- --- started items ---------------------------------------------------------------------------------------------

-- One scan for each requirement that has any. They share the cap, so that a long one cannot starve the others.
local function begin(lane)
  local all = {}
  for _, requirement in ipairs(covered) do
    local key = started_key(lane, requirement)
    local total = call('ZCARD', key)
    if total > 0 then
      local cursor = of(lane, requirement) .. ' ' .. annotator
      local first = tonumber(call('HGET', CURSORS, cursor) or 0)
      if first >= total then first = 0 end
      all[#all + 1] = {
        key = key, cursor = cursor, first = first, at = first, stop = total, items = {}, records = {}, index = 0
      }
    end
  end
  for _, scan in ipairs(all) do scan.budget = math.ceil(cap / #all) end
  return all
end

-- Read on; false when every started item of the scan was seen in this call.
local function turn_page(scan)
  if scan.at >= scan.stop then
    if scan.wrapped or scan.first == 0 then return false end
    scan.wrapped, scan.at, scan.stop = true, 0, scan.first
  end
  local last = math.min(scan.at + math.min(page_size, scan.budget), scan.stop) - 1
  scan.items, scan.index = call('ZRANGE', scan.key, scan.at, last), 0
  if #scan.items == 0 then
    scan.at = scan.stop
    return turn_page(scan)
  end
  scan.records = call('HMGET', ITEMS, unpack(scan.items))
  scan.at = scan.at + #scan.items
  return true
end

local function skip_vanished(scan, item)
  call('ZREM', scan.key, item)
  scan.at, scan.stop = scan.at - 1, scan.stop - 1
end

-- The next item of a scan that the annotator may get; it stays the next one until it is taken.
local function look(scan, lane)
  if scan.item and scan.turn ~= turn then -- seen in an earlier turn, which may have changed it
    scan.record = fetch(scan.item)
    if not (scan.record and scan.record.lane == lane) then scan.item = nil end
  end
  while not scan.item and scan.budget > 0 and not scan.finished do
    scan.index = scan.index + 1
    local item = scan.items[scan.index]
    if item then
      local raw = scan.records[scan.index]
      if not raw then
        skip_vanished(scan, item)
      elseif not had(raw) then
        local record = fetch(item) -- again: this call may have changed it since the page was read
        local open = record and record.lane == lane and record.needed - record.done - size(record.live) or 0
        if open <= 0 then
          skip_vanished(scan, item)
        else
          scan.item, scan.record, scan.open = item, record, open
        end
      end
      if not scan.item then scan.budget = scan.budget - 1 end
    elseif not turn_page(scan) then
      scan.finished = true
    end
  end
  scan.turn = turn
  return scan.item
end

local function started(lane)
  if not scans[lane] then scans[lane] = begin(lane) end
  local best
  for _, scan in ipairs(scans[lane]) do
    if look(scan, lane) and (not best or scan.record.rank < best.record.rank) then best = scan end
  end
  if not best then return nil end
  local item = best.item
  if best.open == 1 then best.at, best.stop = best.at - 1, best.stop - 1 end -- it leaves the set
  best.item = nil
  return item, best.record
end

-- --- untouched items -------------------------------------------------------------------------------------------

local function head_of(key)
  local entry = call('ZRANGE', key, 0, 0, 'WITHSCORES')
  return { key = key, order = tonumber(entry[2]) }
end

-- Of the requirements that the annotator covers, the one whose first item has the lowest rank.
local function first_head(lane)
  if not heads[lane] then
    heads[lane] = {}
    for _, requirement in ipairs(covered) do
      local head = head_of(lane_key(lane, requirement))
      if head.order then heads[lane][#heads[lane] + 1] = head end
    end
  end
  local best
  for at, head in ipairs(heads[lane]) do
    if head.order and (not best or head.order < heads[lane][best].order) then best = at end
  end
  return best
end

local function pop(lane)
  if #covered == 1 then return call('ZPOPMIN', lane_key(lane, 0)) end
  local at = first_head(lane)
  if not at then return {} end
  local key = heads[lane][at].key
  local entry = call('ZPOPMIN', key)
  heads[lane][at] = head_of(key)
  return entry
end

local function fresh(lane)
  if lane == 'review' or not build then return nil end
  budgets[lane] = budgets[lane] or cap
  while budgets[lane] > 0 do
    local entry = pop(lane)
    if #entry == 0 then return nil end
    local item, rank, needed = entry[1], math.floor(entry[2] / 16), entry[2] % 16
    local record = fetch(item)
    if record then
      adopt(item, record, lane, rank)
      heads = {}
    elseif not closed(item) then
      return item, blank(lane, rank, needed)
    end
    budgets[lane] = budgets[lane] - 1
  end
end

local function take(lane)
  turn = turn + 1
  local item, record = started(lane)
  if item then return item, record end
  return fresh(lane)
end

-- --- lanes ------------------------------------------------------------------------------------------------------

-- Smooth weighted round robin: every lane that is not dry earns its share, the richest serves and pays for the turn.
local weight, owed, dry = {}, {}, {}
for _, lane in ipairs(lanes) do
  local kept = call('HMGET', CFG, 'share:' .. lane, 'owed:' .. lane)
  weight[lane], owed[lane] = tonumber(kept[1] or 0), tonumber(kept[2] or 0)
end

local function richest()
  local best, total = nil, 0
  for _, lane in ipairs(lanes) do
    if not dry[lane] then
      total = total + weight[lane]
      local better = best and owed[lane] + weight[lane] > owed[best] + weight[best]
      if not best or (weight[lane] > 0 and (better or weight[best] == 0)) then best = lane end
    end
  end
  return best, total
end

local function pay(lane, total)
  for _, other in ipairs(lanes) do
    if not dry[other] then owed[other] = owed[other] + weight[other] end
  end
  owed[lane] = owed[lane] - total
end

for _ = 1, count do
  local item, record
  local lane, total = richest()
  while lane do
    item, record = take(lane)
    if item then break end
    dry[lane] = true
    lane, total = richest()
  end
  if not item then break end
  pay(lane, total)
  record.live[annotator] = 1
  call('ZADD', LEASES, expiry, lease_of(item, annotator))
  save(item, record)
  given[#given + 1] = item
  given[#given + 1] = lane
end

for _, lane in ipairs(lanes) do
  for _, scan in ipairs(scans[lane] or {}) do
    if scan.finished then
      call('HDEL', CURSORS, scan.cursor)
    elseif scan.budget <= 0 then
      call('HSET', CURSORS, scan.cursor, scan.at)
    end
  end
  if #given > 0 and weight[lane] > 0 then call('HSET', CFG, 'owed:' .. lane, string.format('%d', owed[lane])) end
end
return given
