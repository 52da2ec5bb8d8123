-- What a script does to its own libraries reaches nobody else.
-- publishes: changed
function on_event()
  string.upper = function() return "changed" end
  table.insert = nil
  publish("t", ("x"):upper())
end
