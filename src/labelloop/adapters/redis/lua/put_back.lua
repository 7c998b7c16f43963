-- Leases were given back. ARGV: annotator, skip (1 or 0), items
local annotator, skip = ARGV[1], ARGV[2] == '1'
for i = 3, #ARGV do
  local item = ARGV[i]
  local record = obtain(item)
  end_lease(item, annotator, record)
  if record then
    if skip then record.out[annotator] = 1 end
    save(item, record)
  end
end
