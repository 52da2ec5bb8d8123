-- fails: limit exceeded
function on_event()
  local t = {}
  for i = 1, math.huge do t[i] = coroutine.create(on_event) end
end
