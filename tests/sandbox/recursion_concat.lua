-- fails: C stack overflow
function on_event()
  local m = {}
  m.__concat = function(a, b) return a .. b end
  return setmetatable({}, m) .. setmetatable({}, m)
end
