-- fails: memory
function on_event()
  local t = {}
  for i = 1, math.huge do t[i] = i end
end
