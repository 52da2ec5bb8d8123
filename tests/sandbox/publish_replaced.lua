-- publishes: once
local real = publish
function on_event()
  publish = function() error("never called from C") end
  real("t", "once")
end
