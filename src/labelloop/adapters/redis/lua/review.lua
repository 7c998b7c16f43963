-- Make the review lane hold what is disputed. ARGV: 1 (add) or 0 (remove), then item, requirement, …
-- Answers how many changed.
local changed = 0
for i = 2, #ARGV, 2 do
  local item = ARGV[i]
  local record = fetch(item)
  local listed = record and record.lane == 'review'
  if ARGV[1] == '0' and listed then
    close(item, record)
    changed = changed + 1
  elseif ARGV[1] == '1' and not listed then
    if record then close(item, record) end
    withdraw(item)
    set_requirement(item, tonumber(ARGV[i + 1]))
    save(item, blank('review', tonumber(item), 1))
    changed = changed + 1
  end
end
return changed
