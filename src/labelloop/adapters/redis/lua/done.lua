-- Counted answers are committed. ARGV: annotator, items
local annotator = ARGV[1]
for i = 2, #ARGV do
  local item = ARGV[i]
  local record = obtain(item)
  end_lease(item, annotator, record)
  if record and record.lane == 'review' then
    close(item, record)
  elseif record then
    if not record.out[annotator] then
      record.out[annotator] = 1
      record.done = record.done + 1
    end
    save(item, record)
  end
end
