-- What every script shares: the keys of one project and the record of one touched item. Put before each script.
--
--   cfg               hash    version, build, highest (requirement in use), share:LANE, owed:LANE
--   lane:LANE:BUILD   zset    untouched items of the serving order; score = rank * 16 + needed
--   started:LANE      zset    touched items with an open slot; score = rank (and all disputed ones: started:review)
--   …:REQUIREMENT     zset    the same two, for items that require skills; those without have the keys above
--   requires          string  a byte per item: the number of its requirement, 0 = none; never changes
--   items             hash    touched item -> {lane, rank, needed, done, live = {who}, out = {who}} as JSON
--   closed            string  a byte per item: 0 = open, else 8 * votes + number of its lane; survives a new order
--   leases            zset    "ITEM ANNOTATOR" -> expiry in ms
--   pulls:ANNOTATOR   string  pulls of work since its first one, for a minute
--   cursors           hash    "LANE ANNOTATOR" -> where the next scan of started:LANE goes on
local P = string.sub(KEYS[1], 1, -4)
local CFG, ITEMS, CLOSED, LEASES, CURSORS = KEYS[1], P .. 'items', P .. 'closed', P .. 'leases', P .. 'cursors'
local REQUIRES = P .. 'requires'
local LANES = { 'informative', 'minority', 'audit', 'review' }
local NUMBER = { informative = 1, minority = 2, audit = 3, review = 4 }
local call = redis.call
local serving = call('HMGET', CFG, 'build', 'highest')
local build, highest = serving[1], tonumber(serving[2] or 0)

local function of(key, requirement) return requirement == 0 and key or key .. ':' .. requirement end
local function lane_key(lane, requirement) return of(P .. 'lane:' .. lane .. ':' .. build, requirement) end
local function started_key(lane, requirement) return of(P .. 'started:' .. lane, requirement) end
local function lease_of(item, who) return item .. ' ' .. who end

local function size(set)
  local n = 0
  for _ in pairs(set) do n = n + 1 end
  return n
end

-- What an item requires; a project whose items require nothing is not asked.
local function requirement_of(item)
  if highest == 0 then return 0 end
  local byte = call('GETRANGE', REQUIRES, item, item)
  return byte ~= '' and string.byte(byte) or 0
end

-- Lane, rank and votes needed of an untouched item of the serving order.
local function waiting(item)
  if not build then return nil end
  local requirement = requirement_of(item)
  for i = 1, 3 do
    local order = call('ZSCORE', lane_key(LANES[i], requirement), item)
    if order then return LANES[i], math.floor(order / 16), order % 16 end
  end
end

local function withdraw(item)
  if not build then return end
  local requirement = requirement_of(item)
  for i = 1, 3 do call('ZREM', lane_key(LANES[i], requirement), item) end
end

local function set_requirement(item, requirement)
  if requirement > highest then
    highest = requirement
    call('HSET', CFG, 'highest', requirement)
  end
  if requirement_of(item) ~= requirement then call('SETRANGE', REQUIRES, item, string.char(requirement)) end
end

-- Lane and votes of an item that is over, or nil.
local function closed(item)
  local byte = call('GETRANGE', CLOSED, item, item)
  byte = byte ~= '' and string.byte(byte) or 0
  if byte > 0 then return LANES[byte % 8], math.floor(byte / 8) end
end

local function set_closed(item, byte)
  local seen = call('GETRANGE', CLOSED, item, item)
  local now = seen ~= '' and string.byte(seen) or 0
  if now ~= byte then call('SETRANGE', CLOSED, item, string.char(byte)) end
end

local function fetch(item)
  local raw = call('HGET', ITEMS, item)
  return raw and cjson.decode(raw) or nil
end

local function blank(lane, rank, needed)
  return { lane = lane, rank = rank, needed = needed, done = 0, live = {}, out = {} }
end

-- The record of an item, made from the serving order when it is untouched; nil when it is over or unknown.
local function obtain(item)
  local record = fetch(item)
  if record then return record end
  if closed(item) then return nil end
  local lane, rank, needed = waiting(item)
  if lane then
    call('ZREM', lane_key(lane, requirement_of(item)), item)
    return blank(lane, rank, needed)
  end
end

local function untouched(record)
  return record.lane ~= 'review' and record.done == 0 and not next(record.live) and not next(record.out)
end

local function erase(item, record)
  for who in pairs(record.live) do call('ZREM', LEASES, lease_of(item, who)) end
  call('HDEL', ITEMS, item)
  call('ZREM', started_key(record.lane, requirement_of(item)), item)
end

-- The item takes no more answers: no stale order brings it back.
local function close(item, record)
  erase(item, record)
  withdraw(item)
  if record.lane ~= 'review' then
    set_closed(item, math.min(record.done, 31) * 8 + NUMBER[record.lane])
  elseif not closed(item) then
    set_closed(item, NUMBER.informative)
  end
end

-- Keep a record and put its item where it belongs: over, back into its lane, or among the started.
local function save(item, record)
  if record.done >= record.needed then return close(item, record) end
  if record.lane ~= 'review' then set_closed(item, 0) end
  if untouched(record) then
    erase(item, record)
    if build and not waiting(item) then
      call('ZADD', lane_key(record.lane, requirement_of(item)), record.rank * 16 + record.needed, item)
    end
    return
  end
  call('HSET', ITEMS, item, cjson.encode(record))
  local started = started_key(record.lane, requirement_of(item))
  if record.done + size(record.live) < record.needed then
    call('ZADD', started, record.rank, item)
  else
    call('ZREM', started, item)
  end
end

-- Take lane and rank from a newer order.
local function adopt(item, record, lane, rank)
  withdraw(item)
  if record.lane == 'review' then return end
  if record.lane ~= lane then call('ZREM', started_key(record.lane, requirement_of(item)), item) end
  record.lane, record.rank = lane, rank
  save(item, record)
end

local function end_lease(item, who, record)
  call('ZREM', LEASES, lease_of(item, who))
  if record then record.live[who] = nil end
end
