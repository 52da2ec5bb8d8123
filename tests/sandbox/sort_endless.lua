-- fails: instruction
function on_event()
  table.sort({ 3, 2, 1 }, function() while true do end end)
end
