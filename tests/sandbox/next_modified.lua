-- Assigning while traversing.
-- fails: invalid key
function on_event()
  local t = { 1 }
  for k, v in pairs(t) do t[k + 1] = v t[k] = nil end
  for i = 1, math.huge do next({}, i) end
end
