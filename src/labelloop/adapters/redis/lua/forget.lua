-- Nothing of this project stays. No ARGV.
for requirement = 0, highest do
  for i = 1, 4 do
    call('UNLINK', started_key(LANES[i], requirement))
    if build then call('UNLINK', lane_key(LANES[i], requirement)) end
  end
end
call('UNLINK', CFG, ITEMS, CLOSED, LEASES, CURSORS, REQUIRES)
