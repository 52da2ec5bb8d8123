-- A comparator that contradicts itself reads past the table.
-- fails: invalid order function
function on_event()
  local t = {}
  for i = 1, 1000 do t[i] = i end
  while true do table.sort(t, function() return true end) end
end
