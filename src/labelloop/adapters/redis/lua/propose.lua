-- Take up to `count` items for one annotator.
-- ARGV: annotator, expiry in ms, count, review (1 or 0), scan cap, page, pulls a minute (0: not counted).
-- Answers 'wait' and milliseconds when the annotator's pulls of this minute are used up.
-- The cap bounds the entries per lane that are looked at for nothing.
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
local mark = cjson.encode(annotator) .. ':' -- how the annotator stands in a record, as a holder or excluded
local scans, budgets, given = {}, {}, {}

local function begin(lane)
  local first = tonumber(call('HGET', CURSORS, lane .. ' ' .. annotator) or 0)
  local total = call('ZCARD', started_key(lane))
  if first >= total then first = 0 end
  return { first = first, at = first, stop = total, budget = cap, items = {}, records = {}, index = 0 }
end

-- Read on; false when every started item of the lane was seen in this call.
local function turn_page(scan, lane)
  if scan.at >= scan.stop then
    if scan.wrapped or scan.first == 0 then return false end
    scan.wrapped, scan.at, scan.stop = true, 0, scan.first
  end
  local last = math.min(scan.at + page_size, scan.stop) - 1
  scan.items, scan.index = call('ZRANGE', started_key(lane), scan.at, last), 0
  if #scan.items == 0 then
    scan.at = scan.stop
    return turn_page(scan, lane)
  end
  scan.records = call('HMGET', ITEMS, unpack(scan.items))
  scan.at = scan.at + #scan.items
  return true
end

local function skip_vanished(scan, lane, item)
  call('ZREM', started_key(lane), item)
  scan.at, scan.stop = scan.at - 1, scan.stop - 1
end

local function started(lane)
  local scan = scans[lane]
  if not scan then
    scan = begin(lane)
    scans[lane] = scan
  end
  while scan.budget > 0 do
    scan.index = scan.index + 1
    local item = scan.items[scan.index]
    if item then
      local raw = scan.records[scan.index]
      if not raw then
        skip_vanished(scan, lane, item)
      elseif not string.find(raw, mark, 1, true) then
        local record = fetch(item) -- again: this call may have changed it since the page was read
        local open = record and record.lane == lane and record.needed - record.done - size(record.live) or 0
        if open <= 0 then
          skip_vanished(scan, lane, item)
        else
          if open == 1 then scan.at, scan.stop = scan.at - 1, scan.stop - 1 end -- it leaves the set
          return item, record
        end
      end
      scan.budget = scan.budget - 1
    elseif not turn_page(scan, lane) then
      scan.finished = true
      return nil
    end
  end
end

local function fresh(lane)
  if lane == 'review' or not build then return nil end
  budgets[lane] = budgets[lane] or cap
  while budgets[lane] > 0 do
    local entry = call('ZPOPMIN', lane_key(lane))
    if #entry == 0 then return nil end
    local item, rank, needed = entry[1], math.floor(entry[2] / 16), entry[2] % 16
    local record = fetch(item)
    if record then
      adopt(item, record, lane, rank)
    elseif not closed(item) then
      return item, blank(lane, rank, needed)
    end
    budgets[lane] = budgets[lane] - 1
  end
end

local function take(lane)
  if not (scans[lane] and (scans[lane].finished or scans[lane].budget <= 0)) then
    local item, record = started(lane)
    if item then return item, record end
  end
  return fresh(lane)
end

-- Smooth weighted round robin: every lane that is not dry earns its share, the richest serves and pays for the turn.
local weight, credit, dry = {}, {}, {}
for _, lane in ipairs(lanes) do
  local kept = call('HMGET', CFG, 'share:' .. lane, 'credit:' .. lane)
  weight[lane], credit[lane] = tonumber(kept[1] or 0), tonumber(kept[2] or 0)
end

local function richest()
  local best, total = nil, 0
  for _, lane in ipairs(lanes) do
    if not dry[lane] then
      total = total + weight[lane]
      local better = best and credit[lane] + weight[lane] > credit[best] + weight[best]
      if not best or (weight[lane] > 0 and (better or weight[best] == 0)) then best = lane end
    end
  end
  return best, total
end

local function pay(lane, total)
  for _, other in ipairs(lanes) do
    if not dry[other] then credit[other] = credit[other] + weight[other] end
  end
  credit[lane] = credit[lane] - total
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
  local scan = scans[lane]
  if scan and scan.finished then
    call('HDEL', CURSORS, lane .. ' ' .. annotator)
  elseif scan and scan.budget <= 0 then
    call('HSET', CURSORS, lane .. ' ' .. annotator, scan.at)
  end
  if #given > 0 and weight[lane] > 0 then call('HSET', CFG, 'credit:' .. lane, string.format('%d', credit[lane])) end
end
return given
