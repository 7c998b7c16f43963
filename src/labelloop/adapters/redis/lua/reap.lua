-- Put back leases whose time is over. ARGV: now in ms, most. Answers how many.
local over = call('ZRANGEBYSCORE', LEASES, '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, lease in ipairs(over) do
  local item, who = string.match(lease, '^(%d+) (.*)$')
  local record = fetch(item)
  end_lease(item, who, record)
  if record then save(item, record) end
end
return #over
