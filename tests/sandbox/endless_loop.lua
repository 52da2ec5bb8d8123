-- fails: instruction
function on_event()
  while true do end
end
