-- Leases were renewed. ARGV: annotator, expiry in ms, items
for i = 3, #ARGV do
  call('ZADD', LEASES, 'XX', ARGV[2], lease_of(ARGV[i], ARGV[1]))
end
