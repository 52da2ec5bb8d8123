-- A chain of __index that bites its tail.
-- fails: loop
function on_event()
  local a, b = {}, {}
  setmetatable(a, { __index = b })
  setmetatable(b, { __index = a })
  return a.x
end
