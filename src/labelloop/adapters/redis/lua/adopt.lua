-- Touched items of a new order take their lane and rank from it. ARGV: items
for _, item in ipairs(ARGV) do
  local record = fetch(item)
  if record then
    local lane, rank = waiting(item)
    if lane then adopt(item, record, lane, rank) end
  end
end
