-- fails: too many results
function on_event()
  table.unpack({}, 1, 1 << 30)
end
