-- fails: C stack overflow
function on_event()
  local m = {}
  m.__index = function(t, k) return t[k .. "x"] end
  return setmetatable({}, m).x
end
