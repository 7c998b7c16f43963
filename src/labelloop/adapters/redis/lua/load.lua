-- Add a chunk of an order that is being built beside the serving one. ARGV: build, lane, seconds, then order, item, …
-- The key goes by itself after `seconds` when its builder dies before the swap.
local key = P .. 'lane:' .. ARGV[2] .. ':' .. ARGV[1]
local members = {}
for i = 4, #ARGV, 2 do
  if not closed(ARGV[i + 1]) then
    members[#members + 1] = ARGV[i]
    members[#members + 1] = ARGV[i + 1]
  end
end
if #members > 0 then
  call('ZADD', key, unpack(members))
  call('EXPIRE', key, ARGV[3])
end
return #members / 2
