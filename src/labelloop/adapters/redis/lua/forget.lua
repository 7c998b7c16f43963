-- Nothing of this project stays. No ARGV.
for i = 1, 4 do
  call('UNLINK', started_key(LANES[i]))
  if build then call('UNLINK', lane_key(LANES[i])) end
end
call('UNLINK', CFG, ITEMS, CLOSED, LEASES, CURSORS)
