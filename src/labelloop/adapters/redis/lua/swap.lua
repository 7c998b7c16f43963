-- Serve a built order from now on. ARGV: version, build, then lane, share, …   Answers 0 when a newer one is served.
local version, new = tonumber(ARGV[1]), ARGV[2]
local old = build
local stale = tonumber(call('HGET', CFG, 'version') or -1) > version
local gone = stale and new or old

-- Each key of a build, for each requirement in use.
local function each(command, name)
  for requirement = 0, highest do
    for i = 1, 3 do call(command, of(P .. 'lane:' .. LANES[i] .. ':' .. name, requirement)) end
  end
end

if not stale then
  each('PERSIST', new)
  local share = {}
  for i = 3, #ARGV, 2 do share[ARGV[i]] = ARGV[i + 1] end
  for i = 1, 3 do
    local field = 'share:' .. LANES[i]
    local wanted = share[LANES[i]] or '0'
    -- What a lane is owed outlives a change of shares: they may change with every round, and batches be small.
    if wanted == '0' then call('HDEL', CFG, 'owed:' .. LANES[i]) end
    call('HSET', CFG, field, wanted)
  end
  call('HSET', CFG, 'version', ARGV[1], 'build', new)
end
if gone then each('UNLINK', gone) end
return stale and 0 or 1
