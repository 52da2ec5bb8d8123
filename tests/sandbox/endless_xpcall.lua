-- A message handler runs while an error unwinds.
-- fails: instruction
function on_event()
  xpcall(function() error("x") end, function() while true do end end)
end
