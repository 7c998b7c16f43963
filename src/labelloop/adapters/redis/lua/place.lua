-- Set items to what SQL says of them. ARGV: mode, annotator, JSON list of
-- {item, needed, done, live = [[who, expiry]], out = [who], requires, lane?, rank?, seen?, young?}.
-- Answers how many differed.
--
-- exact: SQL was read just now, it is right.  merge: leases and exclusions made since it was read stay.
-- With an annotator (SQL refused him) his lease on each item ends first.
-- seen: the record before SQL was read ('' for none); one that changed since is left alone, it may be newer than SQL.
-- young: a lease that ends after this and is not in SQL may be on its way there; the item is left alone.
-- Votes never become fewer, so a state with fewer votes than are known here was read before the last one came.
local mode, annotator = ARGV[1], ARGV[2]

local function wanted(state, seen)
  local lane, rank = state.lane, state.rank
  if not lane then lane, rank = waiting(state.item) end
  if not lane and seen then lane, rank = seen.lane, seen.rank end
  local record = blank(lane or closed(state.item) or 'informative', rank or 0, state.needed)
  record.done = state.done
  local expiry = {}
  for _, pair in ipairs(state.live) do
    record.live[pair[1]], expiry[pair[1]] = 1, pair[2]
  end
  for _, who in ipairs(state.out) do record.out[who] = 1 end
  if mode == 'merge' and seen and seen.lane ~= 'review' then
    for who in pairs(seen.out) do record.out[who], record.live[who] = 1, nil end
    for who in pairs(seen.live) do
      if not record.out[who] then record.live[who] = 1 end
    end
  end
  return record, expiry
end

local function equal(one, other)
  for who in pairs(one) do
    if not other[who] then return false end
  end
  return size(one) == size(other)
end

local function same(item, seen, record, expiry)
  if not seen then return false end
  if seen.needed ~= record.needed or seen.done ~= record.done then return false end
  if seen.lane ~= record.lane or seen.rank ~= record.rank then return false end
  if not (equal(seen.live, record.live) and equal(seen.out, record.out)) then return false end
  for who, at in pairs(expiry) do
    if record.live[who] and tonumber(call('ZSCORE', LEASES, lease_of(item, who)) or 0) ~= at then return false end
  end
  local open = record.done + size(record.live) < record.needed
  local listed = call('ZSCORE', started_key(record.lane, requirement_of(item)), item) ~= false
  return open == listed and not waiting(item)
end

local function write(item, seen, record, expiry)
  if seen then
    if seen.lane ~= record.lane then call('ZREM', started_key(seen.lane, requirement_of(item)), item) end
    for who in pairs(seen.live) do
      if not record.live[who] then call('ZREM', LEASES, lease_of(item, who)) end
    end
  end
  for who, at in pairs(expiry) do
    if record.live[who] then call('ZADD', LEASES, at, lease_of(item, who)) end
  end
  withdraw(item)
  save(item, record)
end

-- A disputed item has one open slot, for a reviewer. Refused without a reason: it is settled, or soon listed again.
local function place_disputed(state, seen)
  local record, expiry = wanted(state, nil)
  record.lane, record.rank, record.needed, record.done = 'review', seen.rank, 1, 0
  if annotator ~= '' and not next(record.live) and not record.out[annotator] then return close(state.item, seen) end
  write(state.item, seen, record, expiry)
end

local function unsure(state, seen)
  if not state.seen then return false end
  if (call('HGET', ITEMS, state.item) or '') ~= state.seen then return true end
  if not (seen and state.young) then return false end
  local known = {}
  for _, pair in ipairs(state.live) do known[pair[1]] = true end
  for who in pairs(seen.live) do
    local ends = tonumber(call('ZSCORE', LEASES, lease_of(state.item, who)) or 0)
    if not known[who] and ends > state.young then return true end
  end
  return false
end

-- Redis was wrong about what an item requires: it stays where it stood, among those of its requirement.
local function move(item, seen, requirement)
  local lane, rank, needed = waiting(item)
  withdraw(item)
  if seen then call('ZREM', started_key(seen.lane, requirement_of(item)), item) end
  set_requirement(item, requirement)
  if lane then call('ZADD', lane_key(lane, requirement), rank * 16 + needed, item) end
  if seen then save(item, seen) end
end

local function place(state)
  local item, seen = state.item, fetch(state.item)
  if unsure(state, seen) then return 0 end
  if state.requires ~= requirement_of(item) then move(item, seen, state.requires) end
  if annotator ~= '' then
    end_lease(item, annotator, seen)
    if seen then save(item, seen) end
    seen = fetch(item)
  end
  if seen and seen.lane == 'review' then
    place_disputed(state, seen)
    return 0
  end
  local over, votes = closed(item)
  if state.done < (seen and seen.done or votes or 0) then
    if seen and state.lane then adopt(item, seen, state.lane, state.rank) end
    return 0
  end
  local record, expiry = wanted(state, seen)
  if record.done >= record.needed then
    if seen then erase(item, seen) end
    close(item, record)
    return (over and not seen) and 0 or 1
  end
  if untouched(record) and not seen and not over then return 0 end -- in its lane, or not of this order
  if same(item, seen, record, expiry) then return 0 end
  write(item, seen, record, expiry)
  return 1
end

local differed = 0
for _, state in ipairs(cjson.decode(ARGV[3])) do
  state.item = string.format('%d', state.item)
  differed = differed + place(state)
end
return differed
