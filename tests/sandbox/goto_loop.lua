-- fails: instruction
function on_event()
  ::again:: goto again
end
