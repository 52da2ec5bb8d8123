-- fails: nested deeper
function on_event()
  local t = {}
  t[1] = t
  json.encode(t)
end
