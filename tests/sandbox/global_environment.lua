-- _ENV and _G are the script's own.
-- publishes: alive
local keep = publish
function on_event()
  local all = _G
  for name in pairs(all) do all[name] = nil end
  keep("t", "alive")
end
