-- fails: limits.script_publishes
function on_event()
  for i = 1, 1e9 do publish("t", "x") end
end
