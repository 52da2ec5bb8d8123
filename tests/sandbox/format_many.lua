-- fails: memory
function on_event()
  local f, t = ("%99.99f"):rep(100000), {}
  for i = 1, 200 do t[i] = 1 end
  local s = ("%99d"):rep(200)
  local all = {}
  for i = 1, 1e9 do all[i] = s:format(table.unpack(t)) end
end
