-- Give items a priority: their rank moves far before or after all planned ones. ARGV: offset in ranks, level, items
-- Answers how many are known here.
local offset, level, found = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
for i = 3, #ARGV do
  local item = ARGV[i]
  local record = fetch(item)
  local lane, rank, needed = waiting(item)
  if record and record.lane ~= 'review' then
    record.rank = record.rank % offset - level * offset
    save(item, record)
    found = found + 1
  elseif lane then
    call('ZADD', lane_key(lane, requirement_of(item)), (rank % offset - level * offset) * 16 + needed, item)
    found = found + 1
  end
end
return found
