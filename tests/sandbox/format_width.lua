-- fails: invalid
function on_event()
  return ("%999999999d"):format(1)
end
