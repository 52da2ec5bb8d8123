-- fails: out of range
function on_event()
  select(math.mininteger, 1)
end
