-- fails: memory
function on_event()
  local s, t = ("x"):rep(10000), {}
  for i = 1, 100000 do t[i] = s end
  return table.concat(t)
end
