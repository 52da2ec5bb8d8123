-- __tostring, __concat and __index recurse through C.
-- fails: C stack overflow
function on_event()
  local t = setmetatable({}, {})
  getmetatable(t).__tostring = function() return tostring(t) end
  tostring(t)
end
