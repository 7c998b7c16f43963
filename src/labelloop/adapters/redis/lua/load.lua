-- Add a chunk of an order that is being built beside the serving one: items of one requirement.
-- ARGV: build, lane, requirement, seconds, then order, item, …
-- The key goes by itself after `seconds` when its builder dies before the swap.
local requirement = tonumber(ARGV[3])
local key = of(P .. 'lane:' .. ARGV[2] .. ':' .. ARGV[1], requirement)
local members = {}
for i = 5, #ARGV, 2 do
  if requirement > 0 then set_requirement(ARGV[i + 1], requirement) end
  if not closed(ARGV[i + 1]) then
    members[#members + 1] = ARGV[i]
    members[#members + 1] = ARGV[i + 1]
  end
end
if #members > 0 then
  call('ZADD', key, unpack(members))
  call('EXPIRE', key, ARGV[4])
end
return #members / 2
